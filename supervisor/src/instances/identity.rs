//! Which process an instance's first one is, in words that another hulld understands: a pid alone is used again.

use std::os::fd::OwnedFd;

use hull_sys::process;
use serde::{Deserialize, Serialize};

/// A process of one boot of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessIdentity {
    pub(crate) pid: i32,
    /// Clock ticks since boot; 0 if it had ended before it could be asked.
    pub(super) started: u64,
    boot: String,
}

impl ProcessIdentity {
    pub(super) fn of(pid: i32) -> Self {
        Self {
            pid,
            started: process::start_time(pid).unwrap_or_default(),
            boot: process::boot_id().unwrap_or_default(),
        }
    }

    /// The process, if it still exists.
    pub(super) fn reopen(&self) -> Option<OwnedFd> {
        process::reopen(self.pid, self.started, &self.boot)
    }

    pub(super) fn is_of_this_boot(&self) -> bool {
        process::boot_id().is_ok_and(|boot| boot == self.boot)
    }
}
