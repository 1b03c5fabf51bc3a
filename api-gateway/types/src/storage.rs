//! Storage pools and their volumes.

use crate::tolerant::null;
use crate::{Config, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoragePool {
    #[serde(deserialize_with = "null")]
    pub config: Config,
    pub description: String,
    pub name: String,
    pub driver: String,
    #[serde(deserialize_with = "null")]
    pub used_by: Vec<String>,
    pub status: String,
    #[serde(deserialize_with = "null")]
    pub locations: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoragePoolPut {
    #[serde(deserialize_with = "null")]
    pub config: Config,
    pub description: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoragePoolsPost {
    #[serde(deserialize_with = "null")]
    pub config: Config,
    pub description: String,
    pub name: String,
    pub driver: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesStoragePool {
    pub space: ResourcesStoragePoolSpace,
    pub inodes: ResourcesStoragePoolInodes,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesStoragePoolSpace {
    pub used: u64,
    pub total: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesStoragePoolInodes {
    pub used: u64,
    pub total: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageVolume {
    #[serde(deserialize_with = "null")]
    pub config: Config,
    pub description: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restore: String,
    pub name: String,
    /// `container`, `virtual-machine`, `image` or `custom`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(deserialize_with = "null")]
    pub used_by: Vec<String>,
    pub location: String,
    /// `filesystem`, `block` or `iso`.
    pub content_type: String,
    pub project: String,
    pub created_at: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageVolumePut {
    #[serde(deserialize_with = "null")]
    pub config: Config,
    pub description: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restore: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageVolumesPost {
    #[serde(deserialize_with = "null")]
    pub config: Config,
    pub description: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restore: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub source: StorageVolumeSource,
    pub content_type: String,
}

/// A new name, pool or project.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageVolumePost {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pool: String,
    pub migration: bool,
    pub volume_only: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageVolumeSource {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub pool: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operation: String,
    #[serde(deserialize_with = "null", skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: Config,
    pub certificate: String,
    pub volume_only: bool,
    pub refresh: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
}

impl StoragePool {
    pub fn writable(self) -> StoragePoolPut {
        StoragePoolPut { config: self.config, description: self.description }
    }
}
