//! Projects.

use crate::Config;
use crate::tolerant::null;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Project {
    #[serde(deserialize_with = "null")]
    pub config: Config,
    pub description: String,
    pub name: String,
    #[serde(deserialize_with = "null")]
    pub used_by: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectPut {
    #[serde(deserialize_with = "null")]
    pub config: Config,
    pub description: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectsPost {
    #[serde(deserialize_with = "null")]
    pub config: Config,
    pub description: String,
    pub name: String,
}

/// A new name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectPost {
    pub name: String,
}

impl Project {
    pub fn writable(self) -> ProjectPut {
        ProjectPut { config: self.config, description: self.description }
    }
}
