//! The daemon itself: `GET /1.0`, its environment and its configuration.

use crate::Config;
use crate::tolerant::null;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Values are strings, but `core.trust_password` reads back as `true`.
    #[serde(deserialize_with = "null")]
    pub config: BTreeMap<String, Value>,
    #[serde(deserialize_with = "null")]
    pub api_extensions: Vec<String>,
    pub api_status: String,
    pub api_version: String,
    /// `trusted` or `untrusted`.
    pub auth: String,
    pub public: bool,
    #[serde(deserialize_with = "null")]
    pub auth_methods: Vec<String>,
    pub environment: ServerEnvironment,
}

/// What a stranger may see.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerUntrusted {
    #[serde(deserialize_with = "null")]
    pub api_extensions: Vec<String>,
    pub api_status: String,
    pub api_version: String,
    pub auth: String,
    pub public: bool,
    #[serde(deserialize_with = "null")]
    pub auth_methods: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerPut {
    #[serde(deserialize_with = "null")]
    pub config: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerEnvironment {
    #[serde(deserialize_with = "null")]
    pub addresses: Vec<String>,
    #[serde(deserialize_with = "null")]
    pub architectures: Vec<String>,
    pub certificate: String,
    pub certificate_fingerprint: String,
    pub driver: String,
    pub driver_version: String,
    pub firewall: String,
    pub kernel: String,
    pub kernel_architecture: String,
    #[serde(deserialize_with = "null")]
    pub kernel_features: Config,
    pub kernel_version: String,
    #[serde(deserialize_with = "null")]
    pub lxc_features: Config,
    pub os_name: String,
    pub os_version: String,
    pub project: String,
    pub server: String,
    pub server_clustered: bool,
    pub server_event_mode: String,
    pub server_name: String,
    pub server_pid: i64,
    pub server_version: String,
    pub storage: String,
    pub storage_version: String,
    #[serde(deserialize_with = "null")]
    pub storage_supported_drivers: Vec<ServerStorageDriver>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerStorageDriver {
    #[serde(rename = "Name")]
    pub name: String,
    #[serde(rename = "Version")]
    pub version: String,
    #[serde(rename = "Remote")]
    pub remote: bool,
}
