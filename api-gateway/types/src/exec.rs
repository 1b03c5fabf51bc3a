//! Commands and consoles inside an instance.

use crate::Config;
use crate::tolerant::null;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceExecPost {
    #[serde(deserialize_with = "null")]
    pub command: Vec<String>,
    #[serde(rename = "wait-for-websocket")]
    pub wait_for_websocket: bool,
    pub interactive: bool,
    #[serde(deserialize_with = "null")]
    pub environment: Config,
    pub width: i64,
    pub height: i64,
    #[serde(rename = "record-output")]
    pub record_output: bool,
    pub user: u32,
    pub group: u32,
    pub cwd: String,
}

/// A message on the control websocket of a command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceExecControl {
    /// `window-resize` or `signal`.
    pub command: String,
    #[serde(deserialize_with = "null")]
    pub args: Config,
    pub signal: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceConsolePost {
    pub width: i64,
    pub height: i64,
    #[serde(rename = "type")]
    pub kind: String,
}

/// A message on the control websocket of a console.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceConsoleControl {
    pub command: String,
    #[serde(deserialize_with = "null")]
    pub args: Config,
}
