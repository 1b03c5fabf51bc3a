//! Replacing the daemon's own programs: Hull's extension of the API.

use serde::{Deserialize, Serialize};

/// `POST /1.0/upgrade`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpgradePost {
    /// The directory with the new programs; empty: where the present ones were started from.
    pub from: String,
    pub supervisor: bool,
    pub gateway: bool,
    /// How many seconds to wait for operations that would be cut.
    pub patience: u64,
}

impl Default for UpgradePost {
    fn default() -> Self {
        Self { from: String::new(), supervisor: true, gateway: true, patience: 30 }
    }
}
