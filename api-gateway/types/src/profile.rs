//! Profiles: configuration and devices shared by instances.

use crate::tolerant::null;
use crate::{Config, Devices};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    #[serde(deserialize_with = "null")]
    pub config: Config,
    pub description: String,
    #[serde(deserialize_with = "null")]
    pub devices: Devices,
    pub name: String,
    #[serde(deserialize_with = "null")]
    pub used_by: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProfilePut {
    #[serde(deserialize_with = "null")]
    pub config: Config,
    pub description: String,
    #[serde(deserialize_with = "null")]
    pub devices: Devices,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProfilesPost {
    #[serde(deserialize_with = "null")]
    pub config: Config,
    pub description: String,
    #[serde(deserialize_with = "null")]
    pub devices: Devices,
    pub name: String,
}

/// A new name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProfilePost {
    pub name: String,
}

impl Profile {
    pub fn writable(self) -> ProfilePut {
        ProfilePut { config: self.config, description: self.description, devices: self.devices }
    }
}
