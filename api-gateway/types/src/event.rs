//! What `GET /1.0/events` sends.

use crate::tolerant::null;
use crate::{Config, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// `operation`, `logging` or `lifecycle`.
    #[serde(rename = "type")]
    pub kind: String,
    pub timestamp: Timestamp,
    pub metadata: Value,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub location: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventLogging {
    pub message: String,
    pub level: String,
    #[serde(deserialize_with = "null")]
    pub context: Config,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventLifecycle {
    /// `instance-started` and so on.
    pub action: String,
    /// URL of the thing it happened to.
    pub source: String,
    #[serde(deserialize_with = "null", skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requestor: Option<EventLifecycleRequestor>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventLifecycleRequestor {
    pub username: String,
    pub protocol: String,
    pub address: String,
}
