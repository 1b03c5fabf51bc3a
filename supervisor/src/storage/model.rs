//! Pools and volumes, and the rules for their names.

use hull_api::{StoragePoolPut, StorageVolumePut};
use hull_plugin::{ConfigMap, PoolName, VolumeName};
use serde::{Deserialize, Serialize};

use crate::api::ApiError;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pool {
    pub(crate) name: PoolName,
    /// The driver's word.
    pub(crate) driver: String,
    pub(crate) description: String,
    pub(crate) config: ConfigMap,
}

/// What the database holds of a volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct VolumeRow {
    pub(crate) pool: PoolName,
    pub(crate) name: VolumeName,
    /// `filesystem` or `block`.
    pub(crate) content: String,
    pub(crate) description: String,
    pub(crate) config: ConfigMap,
    /// Seconds since the epoch.
    pub(crate) created_at: i64,
}

impl Pool {
    pub(crate) fn url(&self) -> String {
        url(&self.name)
    }

    /// What a PUT may change.
    pub(super) fn writable(&self) -> StoragePoolPut {
        StoragePoolPut { config: self.config.clone(), description: self.description.clone() }
    }
}

pub(super) fn url(pool: &PoolName) -> String {
    format!("/1.0/storage-pools/{pool}")
}

impl VolumeRow {
    pub(super) fn url(&self) -> String {
        let (kind, name) = self.name.parts();
        format!("/1.0/storage-pools/{}/volumes/{kind}/{name}", self.pool)
    }

    pub(super) fn writable(&self) -> StorageVolumePut {
        StorageVolumePut { config: self.config.clone(), description: self.description.clone(), restore: String::new() }
    }
}

/// A pool name as a client writes it.
pub(super) fn pool_name(text: &str) -> Result<PoolName, ApiError> {
    match text {
        "" => Err(ApiError::bad_request("No name provided")),
        _ if text.contains('/') => Err(ApiError::bad_request("Storage pool names may not contain slashes")),
        _ => Ok(PoolName::new(text)?),
    }
}

/// The volume types of the API. Those with an owner are made and deleted through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VolumeKind {
    Container,
    VirtualMachine,
    Image,
    Custom,
}

impl VolumeKind {
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        match text {
            "container" => Ok(Self::Container),
            "virtual-machine" => Ok(Self::VirtualMachine),
            "image" => Ok(Self::Image),
            "custom" => Ok(Self::Custom),
            _ => Err(ApiError::bad_request("Invalid storage volume type name")),
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::VirtualMachine => "virtual-machine",
            Self::Image => "image",
            Self::Custom => "custom",
        }
    }
}

/// A custom volume's name as a client writes it.
pub(super) fn custom_name(text: &str) -> Result<VolumeName, ApiError> {
    match text {
        "" => Err(ApiError::bad_request("No name provided")),
        _ if text.contains('/') => Err(ApiError::bad_request("Storage volume names may not contain slashes")),
        _ => Ok(VolumeName::new(format!("custom/{text}"))?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_climb() {
        for bad in ["", "a/b", "..", "-x", "a b"] {
            assert!(pool_name(bad).is_err(), "{bad:?}");
            assert!(custom_name(bad).is_err(), "{bad:?}");
        }
        assert_eq!(custom_name("data").unwrap().as_str(), "custom/data");
        assert!(VolumeKind::parse("nope").is_err());
    }
}
