//! Instances: what they are, how they are made, renamed and changed.

use crate::tolerant::{is_false, null};
use crate::{Config, Devices, InstanceSnapshot, InstanceState, StatusCode, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Instance {
    pub architecture: String,
    #[serde(deserialize_with = "null")]
    pub config: Config,
    #[serde(deserialize_with = "null")]
    pub devices: Devices,
    pub ephemeral: bool,
    #[serde(deserialize_with = "null")]
    pub profiles: Vec<String>,
    /// Name of the snapshot to go back to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restore: String,
    pub stateful: bool,
    pub description: String,
    pub created_at: Timestamp,
    /// With the profiles' keys.
    #[serde(deserialize_with = "null")]
    pub expanded_config: Config,
    #[serde(deserialize_with = "null")]
    pub expanded_devices: Devices,
    pub name: String,
    pub status: String,
    pub status_code: StatusCode,
    pub last_used_at: Timestamp,
    pub location: String,
    /// `container` or `virtual-machine`.
    #[serde(rename = "type")]
    pub kind: String,
    pub project: String,
}

/// What `recursion=2` answers: the instance with all that belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceFull {
    pub architecture: String,
    #[serde(deserialize_with = "null")]
    pub config: Config,
    #[serde(deserialize_with = "null")]
    pub devices: Devices,
    pub ephemeral: bool,
    #[serde(deserialize_with = "null")]
    pub profiles: Vec<String>,
    /// Name of the snapshot to go back to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restore: String,
    pub stateful: bool,
    pub description: String,
    pub created_at: Timestamp,
    /// With the profiles' keys.
    #[serde(deserialize_with = "null")]
    pub expanded_config: Config,
    #[serde(deserialize_with = "null")]
    pub expanded_devices: Devices,
    pub name: String,
    pub status: String,
    pub status_code: StatusCode,
    pub last_used_at: Timestamp,
    pub location: String,
    /// `container` or `virtual-machine`.
    #[serde(rename = "type")]
    pub kind: String,
    pub project: String,
    #[serde(deserialize_with = "null")]
    pub backups: Vec<InstanceBackup>,
    pub state: Option<InstanceState>,
    #[serde(deserialize_with = "null")]
    pub snapshots: Vec<InstanceSnapshot>,
}

/// What may be changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstancePut {
    pub architecture: String,
    #[serde(deserialize_with = "null")]
    pub config: Config,
    #[serde(deserialize_with = "null")]
    pub devices: Devices,
    pub ephemeral: bool,
    #[serde(deserialize_with = "null")]
    pub profiles: Vec<String>,
    /// Name of the snapshot to go back to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restore: String,
    pub stateful: bool,
    pub description: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstancesPost {
    pub architecture: String,
    #[serde(deserialize_with = "null")]
    pub config: Config,
    #[serde(deserialize_with = "null")]
    pub devices: Devices,
    pub ephemeral: bool,
    /// `None`: the default profile, or those of the image. Empty: none at all.
    pub profiles: Option<Vec<String>>,
    /// Name of the snapshot to go back to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restore: String,
    pub stateful: bool,
    pub description: String,
    /// Empty: the daemon finds one.
    pub name: String,
    pub source: InstanceSource,
    /// `t2.micro` and the like, turned into limits.
    pub instance_type: String,
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceSource {
    /// `image`, `copy`, `migration` or `none`.
    #[serde(rename = "type")]
    pub kind: String,
    pub certificate: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alias: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    #[serde(deserialize_with = "null", skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: Config,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    #[serde(rename = "base-image", skip_serializing_if = "String::is_empty")]
    pub base_image: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operation: String,
    #[serde(deserialize_with = "null", skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: Config,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    #[serde(skip_serializing_if = "is_false")]
    pub live: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub instance_only: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub container_only: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub refresh: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
    #[serde(skip_serializing_if = "is_false")]
    pub allow_inconsistent: bool,
}

/// A new name, or a move to another pool, project or server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstancePost {
    pub name: String,
    pub migration: bool,
    pub live: bool,
    pub instance_only: bool,
    pub container_only: bool,
    pub target: Option<InstancePostTarget>,
    pub pool: String,
    pub project: String,
    pub allow_inconsistent: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstancePostTarget {
    pub certificate: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operation: String,
    #[serde(deserialize_with = "null", skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: Config,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceBackup {
    pub name: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub instance_only: bool,
    pub container_only: bool,
    pub optimized_storage: bool,
}

impl Instance {
    /// The part that may be changed, as a client sends it back.
    pub fn writable(self) -> InstancePut {
        InstancePut {
            architecture: self.architecture,
            config: self.config,
            devices: self.devices,
            ephemeral: self.ephemeral,
            profiles: self.profiles,
            restore: String::new(),
            stateful: self.stateful,
            description: self.description,
        }
    }
}
