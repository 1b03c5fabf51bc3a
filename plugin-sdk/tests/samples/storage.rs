//! Pools and volumes.

use hull_plugin::storage::*;
use hull_plugin::{PoolName, VolumeName};

use super::common::{config, error, file, handle, mount, op, texts};
use super::samples;

fn pool() -> PoolName {
    PoolName::new("default").unwrap()
}

fn volume() -> VolumeName {
    VolumeName::new("container/c1").unwrap()
}

fn new_volume() -> NewVolume {
    let files = ImageFiles { metadata: file(), rootfs: Some(file()), max_bytes: 1 << 33, max_inodes: 300 };
    let source = VolumeSource::Image(files);
    NewVolume { name: volume(), content: ContentKind::Block, config: config(), source }
}

fn usage() -> Usage {
    Usage { bytes_used: 1, bytes_total: 1 << 50, inodes_used: 300, inodes_total: 70_000 }
}

pub(super) fn reconciled() -> Reconciled {
    Reconciled { missing: texts(), unknown: vec!["three".into()] }
}

samples!(storage, StorageDriverRequest, StorageDriverResponse, {
    CreatePool { op: op(), pool: pool(), config: config() } => Ok(config());
    DeletePool { op: op(), pool: pool() } => Ok(());
    OpenPool { pool: pool(), config: config() } => Err(error());
    PoolUsage {} => Ok(usage());
    CreateVolume { op: op(), volume: new_volume() } => Ok(Some(handle()));
    DeleteVolume { op: op(), volume: volume() } => Ok(());
    RenameVolume { op: op(), from: volume(), to: VolumeName::new("custom/v").unwrap() } => Ok(());
    MountVolume { op: op(), volume: volume() } => Ok(VolumeRoot::Mount(mount()));
    UnmountVolume { op: op(), volume: volume() } => Ok(());
    VolumeUsage { volume: volume() } => Ok(usage());
    ResizeVolume { op: op(), volume: volume(), bytes: Some(1 << 30) } => Ok(Some(1 << 30));
    Reconcile { known: vec![volume()], last: true } => Ok(reconciled());
    Collect { op: op(), unknown: texts() } => Ok(());
});
