//! Plugins: the driver processes. An extension of Hull's.

use crate::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plugin {
    pub name: String,
    /// `storage`, `network`, `instance` or `image`.
    #[serde(rename = "type")]
    pub kind: String,
    pub description: String,
    pub version: String,
    /// What a rollback goes to; not in lists.
    pub previous_version: Option<String>,
    pub contract: PluginContract,
    pub executable: String,
    /// The worst of its processes'.
    pub status: String,
    /// What it may do beyond what every plugin may, in words.
    pub permissions: Vec<String>,
    pub processes: Vec<PluginProcess>,
}

/// The contract versions that a plugin speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginContract {
    pub oldest: u32,
    pub newest: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginProcess {
    /// `storage-dir@default`
    pub name: String,
    /// Of a storage driver; empty otherwise.
    pub pool: String,
    /// `Stopped`, `Starting`, `Ready` or `Failed`.
    pub status: String,
    /// Why it is out of service.
    pub reason: String,
    pub pid: i32,
    /// What runs, which may be older than what is installed.
    pub version: String,
    /// The contract's version that is spoken with it; 0 if it does not run.
    pub contract: u32,
    pub since: Timestamp,
    /// In seconds.
    pub uptime: i64,
    pub restarts: u64,
    /// How many calls it works on.
    pub calls: u64,
    /// Replaced processes that still finish their calls.
    pub draining: u64,
    /// The longest that calls have waited for a replacement, in milliseconds.
    pub longest_hold: f64,
    /// The name of its control group among those of the plugins.
    pub control_group: String,
    pub last_end: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics: Option<crate::PluginStatistics>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginRestartPost {
    /// Kills a process that does not hand over.
    pub force: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginUpgradePost {
    /// A directory on the server; empty: what Hull itself comes with.
    pub source: String,
    /// Lets it have rights that the present version does not have.
    pub grant: bool,
}
