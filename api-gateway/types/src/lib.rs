//! The types of LXD 5.0's REST API, shared by the daemon, the client and the tests.
//!
//! Fields are declared in the order LXD sends them: JSON and YAML come out in that order. Every field may be missing or `null`
//! when read; unknown ones are ignored. A field that is called `type` on the wire is `kind` here.
//! These are plain data: what is allowed is decided where it is used.

mod certificate;
mod doctor;
mod event;
mod exec;
mod image;
mod instance;
mod network;
mod operation;
mod plugin;
mod plugin_statistics;
mod profile;
mod project;
mod response;
mod server;
mod snapshot;
mod state;
mod status;
mod storage;
mod time;
mod tolerant;
mod warning;

pub use certificate::{Certificate, CertificatePut, CertificatesPost};
pub use doctor::{Doctor, DoctorCheck, DoctorEnd, DoctorPlugin};
pub use event::{Event, EventLifecycle, EventLifecycleRequestor, EventLogging};
pub use exec::{InstanceConsoleControl, InstanceConsolePost, InstanceExecControl, InstanceExecPost};
pub use image::{
    Image, ImageAlias, ImageAliasesEntry, ImageAliasesEntryPost, ImageAliasesEntryPut, ImageAliasesPost, ImageMetadata,
    ImageMetadataTemplate, ImagePut, ImageSource, ImagesPost, ImagesPostSource,
};
pub use instance::{
    Instance, InstanceBackup, InstanceFull, InstancePost, InstancePostTarget, InstancePut, InstanceSource,
    InstancesPost,
};
pub use network::{
    Network, NetworkLease, NetworkPost, NetworkPut, NetworkState, NetworkStateAddress, NetworkStateBond,
    NetworkStateBridge, NetworkStateCounters, NetworkStateOvn, NetworkStateVlan, NetworksPost,
};
pub use operation::Operation;
pub use plugin::{Plugin, PluginContract, PluginProcess, PluginRestartPost, PluginUpgradePost};
pub use plugin_statistics::PluginStatistics;
pub use profile::{Profile, ProfilePost, ProfilePut, ProfilesPost};
pub use project::{Project, ProjectPost, ProjectPut, ProjectsPost};
pub use response::{Response, ResponseType};
pub use server::{Server, ServerEnvironment, ServerPut, ServerStorageDriver, ServerUntrusted};
pub use snapshot::{InstanceSnapshot, InstanceSnapshotPost, InstanceSnapshotPut, InstanceSnapshotsPost};
pub use state::{
    InstanceState, InstanceStateCpu, InstanceStateDisk, InstanceStateMemory, InstanceStateNetwork,
    InstanceStateNetworkAddress, InstanceStateNetworkCounters, InstanceStatePut, InstancesPut,
};
pub use status::StatusCode;
pub use storage::{
    ResourcesStoragePool, ResourcesStoragePoolInodes, ResourcesStoragePoolSpace, StoragePool, StoragePoolPut,
    StoragePoolsPost, StorageVolume, StorageVolumePost, StorageVolumePut, StorageVolumeSource, StorageVolumesPost,
};
pub use time::Timestamp;
pub use warning::{Warning, WarningPut};

use std::collections::BTreeMap;

/// Configuration keys and values.
pub type Config = BTreeMap<String, String>;

/// Devices by name, each a map of keys and values.
pub type Devices = BTreeMap<String, Config>;
