//! An instance as it is stored, and the rules for its name.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use hull_plugin::{ConfigMap, InstanceId, PoolName, VolumeName};
use serde::{Deserialize, Serialize};

use crate::api::ApiError;

/// Device name → its keys.
pub(crate) type Devices = BTreeMap<String, ConfigMap>;

/// A valid instance name: a host name's label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct InstanceName(String);

impl InstanceName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// How drivers know it.
    pub(crate) fn id(&self) -> InstanceId {
        InstanceId::new(self.0.clone()).expect("a host name's label is a valid id")
    }

    pub(crate) fn url(&self) -> String {
        format!("/1.0/instances/{}", self.0)
    }

    /// The volume its root file system is in.
    pub(crate) fn volume(&self) -> VolumeName {
        VolumeName::new(format!("container/{}", self.0)).expect("a host name's label is a valid volume name")
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for InstanceName {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let refuse = |why: &str| Err(ApiError::bad_request(format!("Invalid instance name: {why}")));
        if text.is_empty() || text.len() > 63 {
            return refuse("Name must be 1-63 characters long");
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return refuse("Name can only contain alphanumeric and hyphen characters");
        }
        if text.starts_with('-') {
            return refuse("Name must not start with \"-\" character");
        }
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            return refuse("Name must not start with a number");
        }
        if text.ends_with('-') {
            return refuse("Name must not end with \"-\" character");
        }
        Ok(Self(text.to_owned()))
    }
}

/// What the database holds of an instance. Moments are seconds since the epoch; 0 is never.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: InstanceName,
    /// `container` or `virtual-machine`.
    pub(crate) kind: String,
    /// The driver's word.
    pub(crate) driver: String,
    pub(crate) architecture: String,
    pub(crate) description: String,
    pub(crate) ephemeral: bool,
    pub(crate) stateful: bool,
    pub(crate) config: ConfigMap,
    pub(crate) devices: Devices,
    pub(crate) profiles: Vec<String>,
    pub(crate) pool: Option<PoolName>,
    pub(crate) created_at: i64,
    pub(crate) last_used_at: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_host_name_labels() {
        for good in ["c1", "web-01", "A", &"a".repeat(63)] {
            assert!(good.parse::<InstanceName>().is_ok(), "{good}");
        }
        for bad in ["", "1c", "-c", "c-", "a_b", "a.b", "a/b", "ä", &"a".repeat(64)] {
            assert!(bad.parse::<InstanceName>().is_err(), "{bad}");
        }
    }
}
