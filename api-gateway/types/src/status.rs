//! LXD's status codes and their names.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A number with a name, as in `status_code: 103` and `status: Running`. Unknown numbers are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StatusCode(pub u16);

impl StatusCode {
    pub const OPERATION_CREATED: Self = Self(100);
    pub const STARTED: Self = Self(101);
    pub const STOPPED: Self = Self(102);
    pub const RUNNING: Self = Self(103);
    pub const CANCELLING: Self = Self(104);
    pub const PENDING: Self = Self(105);
    pub const STARTING: Self = Self(106);
    pub const STOPPING: Self = Self(107);
    pub const ABORTING: Self = Self(108);
    pub const FREEZING: Self = Self(109);
    pub const FROZEN: Self = Self(110);
    pub const THAWED: Self = Self(111);
    pub const ERROR: Self = Self(112);
    pub const READY: Self = Self(113);
    pub const SUCCESS: Self = Self(200);
    pub const FAILURE: Self = Self(400);
    pub const CANCELLED: Self = Self(401);

    /// The name on the wire. Empty for a number nobody knows.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(code, _)| *code == self).map_or("", |(_, name)| name)
    }

    /// Success, failure or cancelled: an operation in this state changes no more.
    pub fn is_final(self) -> bool {
        self.0 >= 200
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

const NAMES: [(StatusCode, &str); 17] = [
    (StatusCode::OPERATION_CREATED, "Operation created"),
    (StatusCode::STARTED, "Started"),
    (StatusCode::STOPPED, "Stopped"),
    (StatusCode::RUNNING, "Running"),
    (StatusCode::CANCELLING, "Cancelling"),
    (StatusCode::PENDING, "Pending"),
    (StatusCode::STARTING, "Starting"),
    (StatusCode::STOPPING, "Stopping"),
    (StatusCode::ABORTING, "Aborting"),
    (StatusCode::FREEZING, "Freezing"),
    (StatusCode::FROZEN, "Frozen"),
    (StatusCode::THAWED, "Thawed"),
    (StatusCode::ERROR, "Error"),
    (StatusCode::READY, "Ready"),
    (StatusCode::SUCCESS, "Success"),
    (StatusCode::FAILURE, "Failure"),
    (StatusCode::CANCELLED, "Cancelled"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_finality() {
        assert_eq!(StatusCode::RUNNING.to_string(), "Running");
        assert_eq!(StatusCode(999).name(), "");
        assert!(StatusCode::CANCELLED.is_final() && !StatusCode::CANCELLING.is_final());
        assert_eq!(serde_json::to_string(&StatusCode::SUCCESS).unwrap(), "200");
    }
}
