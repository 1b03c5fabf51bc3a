//! A profile and the rules for its name.

use std::fmt;
use std::str::FromStr;

use hull_api::{Config, Devices, ProfilePut};
use serde::Deserialize;

use crate::api::ApiError;
use crate::instances::validate;

/// The profile that instances get when nobody says otherwise. It cannot go away.
pub(super) const DEFAULT: &str = "default";

/// A valid profile name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProfileName(String);

impl ProfileName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_default(&self) -> bool {
        self.0 == DEFAULT
    }

    pub(crate) fn url(&self) -> String {
        format!("/1.0/profiles/{}", self.0)
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProfileName {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        match text {
            "" => Err(ApiError::bad_request("No name provided")),
            "." | ".." => Err(ApiError::bad_request(format!("Invalid profile name {text:?}"))),
            _ if text.contains('/') => Err(ApiError::bad_request("Profile names may not contain slashes")),
            _ if text.len() > 255
                || text.contains(|one: char| one.is_control() || one.is_whitespace() || "?&#%\"'".contains(one)) =>
            {
                Err(ApiError::bad_request(format!("Invalid profile name {text:?}")))
            }
            _ => Ok(Self(text.to_owned())),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Profile {
    pub(crate) name: ProfileName,
    pub(crate) description: String,
    pub(crate) config: Config,
    pub(crate) devices: Devices,
}

impl Profile {
    pub(super) fn new(name: ProfileName, put: ProfilePut) -> Self {
        let config = put.config.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        Self { name, description: put.description, config, devices: validate::without_empty_keys(put.devices) }
    }

    /// What a PUT may change.
    pub(super) fn writable(&self) -> ProfilePut {
        ProfilePut { config: self.config.clone(), description: self.description.clone(), devices: self.devices.clone() }
    }

    pub(super) fn rendered(&self, used_by: Vec<String>) -> hull_api::Profile {
        hull_api::Profile {
            config: self.config.clone(),
            description: self.description.clone(),
            devices: self.devices.clone(),
            name: self.name.to_string(),
            used_by,
        }
    }
}

/// A PATCH: what is named is changed, keys and devices one by one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProfilePatch {
    description: Option<String>,
    config: Option<Config>,
    devices: Option<Devices>,
}

impl ProfilePatch {
    pub(super) fn onto(self, mut put: ProfilePut) -> ProfilePut {
        put.description = self.description.unwrap_or(put.description);
        put.config.extend(self.config.unwrap_or_default());
        put.devices.extend(self.devices.unwrap_or_default());
        put
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_climb() {
        for bad in ["", ".", "..", "a/b", "a b", "a\nb", "a?b"] {
            assert!(bad.parse::<ProfileName>().is_err(), "{bad:?}");
        }
        assert!("web-servers_2".parse::<ProfileName>().is_ok());
    }

    #[test]
    fn a_patch_leaves_alone_what_it_does_not_name() {
        let old = ProfilePut {
            description: "old".into(),
            config: Config::from([("user.a".into(), "1".into()), ("user.b".into(), "2".into())]),
            devices: Devices::from([("root".into(), Config::new())]),
        };
        let patch =
            ProfilePatch { config: Some(Config::from([("user.b".into(), String::new())])), ..ProfilePatch::default() };
        let new = Profile::new("p".parse().unwrap(), patch.onto(old));
        assert_eq!(new.description, "old");
        assert_eq!(new.config, Config::from([("user.a".into(), "1".into())]));
        assert!(new.devices.contains_key("root"));
    }
}
