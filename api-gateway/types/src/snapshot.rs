//! Snapshots of instances.

use crate::tolerant::{is_false, null};
use crate::{Config, Devices, InstancePostTarget, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceSnapshot {
    pub expires_at: Timestamp,
    pub architecture: String,
    #[serde(deserialize_with = "null")]
    pub config: Config,
    pub created_at: Timestamp,
    #[serde(deserialize_with = "null")]
    pub devices: Devices,
    pub ephemeral: bool,
    #[serde(deserialize_with = "null")]
    pub expanded_config: Config,
    #[serde(deserialize_with = "null")]
    pub expanded_devices: Devices,
    pub last_used_at: Timestamp,
    pub name: String,
    #[serde(deserialize_with = "null")]
    pub profiles: Vec<String>,
    pub stateful: bool,
    pub size: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceSnapshotPut {
    pub expires_at: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceSnapshotsPost {
    pub name: String,
    pub stateful: bool,
    pub expires_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceSnapshotPost {
    pub name: String,
    pub migration: bool,
    pub target: Option<InstancePostTarget>,
    #[serde(skip_serializing_if = "is_false")]
    pub live: bool,
}
