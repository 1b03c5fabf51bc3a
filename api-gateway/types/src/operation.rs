//! Work that outlives its request.

use crate::tolerant::null;
use crate::{StatusCode, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Operation {
    pub id: String,
    /// `task`, `websocket` or `token`.
    pub class: String,
    pub description: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub status: String,
    pub status_code: StatusCode,
    #[serde(deserialize_with = "null")]
    pub resources: BTreeMap<String, Vec<String>>,
    pub metadata: Value,
    pub may_cancel: bool,
    pub err: String,
    pub location: String,
}
