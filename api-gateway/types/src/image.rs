//! Images and the aliases that name them.

use crate::tolerant::null;
use crate::{Config, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Image {
    pub auto_update: bool,
    #[serde(deserialize_with = "null")]
    pub properties: Config,
    pub public: bool,
    pub expires_at: Timestamp,
    #[serde(deserialize_with = "null")]
    pub profiles: Vec<String>,
    #[serde(deserialize_with = "null")]
    pub aliases: Vec<ImageAlias>,
    pub architecture: String,
    pub cached: bool,
    pub filename: String,
    pub fingerprint: String,
    pub size: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_source: Option<ImageSource>,
    #[serde(rename = "type")]
    pub kind: String,
    pub created_at: Timestamp,
    pub last_used_at: Timestamp,
    pub uploaded_at: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImagePut {
    pub auto_update: bool,
    #[serde(deserialize_with = "null")]
    pub properties: Config,
    pub public: bool,
    pub expires_at: Timestamp,
    #[serde(deserialize_with = "null")]
    pub profiles: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageAlias {
    pub name: String,
    pub description: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageSource {
    pub alias: String,
    pub certificate: String,
    pub protocol: String,
    pub server: String,
    pub image_type: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImagesPost {
    pub auto_update: bool,
    #[serde(deserialize_with = "null")]
    pub properties: Config,
    pub public: bool,
    pub expires_at: Timestamp,
    #[serde(deserialize_with = "null")]
    pub profiles: Vec<String>,
    pub filename: String,
    pub source: Option<ImagesPostSource>,
    pub compression_algorithm: String,
    #[serde(deserialize_with = "null")]
    pub aliases: Vec<ImageAlias>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImagesPostSource {
    pub alias: String,
    pub certificate: String,
    pub protocol: String,
    pub server: String,
    pub image_type: String,
    pub mode: String,
    /// `image`, `instance`, `snapshot` or `url`.
    #[serde(rename = "type")]
    pub kind: String,
    pub url: String,
    pub name: String,
    pub fingerprint: String,
    pub secret: String,
    pub project: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageAliasesEntry {
    pub description: String,
    pub target: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageAliasesPost {
    pub description: String,
    pub target: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageAliasesEntryPut {
    pub description: String,
    pub target: String,
}

/// A new name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageAliasesEntryPost {
    pub name: String,
}

/// `metadata.yaml` of an image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageMetadata {
    pub architecture: String,
    pub creation_date: i64,
    pub expiry_date: i64,
    #[serde(deserialize_with = "null")]
    pub properties: Config,
    #[serde(deserialize_with = "null")]
    pub templates: BTreeMap<String, ImageMetadataTemplate>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageMetadataTemplate {
    #[serde(deserialize_with = "null")]
    pub when: Vec<String>,
    pub create_only: bool,
    pub template: String,
    #[serde(deserialize_with = "null")]
    pub properties: Config,
}

impl Image {
    pub fn writable(self) -> ImagePut {
        ImagePut {
            auto_update: self.auto_update,
            properties: self.properties,
            public: self.public,
            expires_at: self.expires_at,
            profiles: self.profiles,
        }
    }
}
