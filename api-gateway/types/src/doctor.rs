//! What `hull doctor` shows: how the machine and each plugin is, and what to do about what is wrong.

use serde::{Deserialize, Serialize};

use crate::{PluginStatistics, Timestamp};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Doctor {
    /// Nothing is wrong.
    pub healthy: bool,
    pub checks: Vec<DoctorCheck>,
    pub plugins: Vec<DoctorPlugin>,
}

/// Something the machine must have, or should.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DoctorCheck {
    pub name: String,
    /// `ok`, `missing` (it works without) or `wrong`.
    pub verdict: String,
    /// What was found.
    pub detail: String,
    /// What to do about it; empty when nothing is to be done.
    pub hint: String,
}

/// One process of a plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DoctorPlugin {
    /// `storage-dir@default`
    pub name: String,
    pub plugin: String,
    /// What it serves: a pool's URL; empty when it serves all of its kind.
    pub object: String,
    /// `stopped`, `starting`, `ready`, `hung` or `out of service`.
    pub state: String,
    pub healthy: bool,
    /// 0: none.
    pub pid: i32,
    /// Why it is as it is.
    pub reason: String,
    /// How its processes ended, the oldest first.
    pub ends: Vec<DoctorEnd>,
    /// The last lines of its log.
    pub log: Vec<String>,
    /// Where in the kernel it is, if it hangs there; the innermost call first.
    pub kernel_stack: Vec<String>,
    /// The command that clears it; empty when nothing is to be cleared.
    pub command: String,
    pub statistics: PluginStatistics,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DoctorEnd {
    pub at: Timestamp,
    pub how: String,
}
