//! JSON bodies of requests.

use std::fmt::Debug;

use hull_api as api;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Every type that a request's body may be.
const TYPES: [fn(&[u8]); 39] = [
    read::<api::CertificatePut>,
    read::<api::CertificatesPost>,
    read::<api::ImageAliasesEntryPost>,
    read::<api::ImageAliasesEntryPut>,
    read::<api::ImageAliasesPost>,
    read::<api::ImageMetadata>,
    read::<api::ImagePut>,
    read::<api::ImagesPost>,
    read::<api::InstanceConsoleControl>,
    read::<api::InstanceConsolePost>,
    read::<api::InstanceExecControl>,
    read::<api::InstanceExecPost>,
    read::<api::InstancePost>,
    read::<api::InstancePut>,
    read::<api::InstanceSnapshotPost>,
    read::<api::InstanceSnapshotPut>,
    read::<api::InstanceSnapshotsPost>,
    read::<api::InstanceStatePut>,
    read::<api::InstancesPost>,
    read::<api::InstancesPut>,
    read::<api::NetworkPost>,
    read::<api::NetworkPut>,
    read::<api::NetworksPost>,
    read::<api::PluginRestartPost>,
    read::<api::PluginUpgradePost>,
    read::<api::ProfilePost>,
    read::<api::ProfilePut>,
    read::<api::ProfilesPost>,
    read::<api::ProjectPost>,
    read::<api::ProjectPut>,
    read::<api::ProjectsPost>,
    read::<api::ServerPut>,
    read::<api::StoragePoolPut>,
    read::<api::StoragePoolsPost>,
    read::<api::StorageVolumePost>,
    read::<api::StorageVolumePut>,
    read::<api::StorageVolumesPost>,
    read::<api::UpgradePost>,
    read::<api::WarningPut>,
];

/// A body, read as each type.
pub fn bodies(data: &[u8]) {
    TYPES.iter().for_each(|read| read(data));
}

fn read<T: DeserializeOwned + Serialize + PartialEq + Debug>(data: &[u8]) {
    let Ok(body) = serde_json::from_slice::<T>(data) else { return };
    let written = serde_json::to_vec(&body).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(again, body);
}
