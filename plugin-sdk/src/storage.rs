//! The storage contract: pools and their volumes. One process serves one pool.

use serde::{Deserialize, Serialize};

use crate::{ConfigMap, DriverError, FileFd, Handle, MountFd, OperationId, PoolName, VolumeName};

/// What a volume is for; decides nothing but its place and its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ContentKind {
    FileSystem,
    Block,
}

/// A volume to be.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewVolume {
    pub name: VolumeName,
    pub content: ContentKind,
    pub config: ConfigMap,
    pub source: VolumeSource,
}

/// What a new volume starts with.
#[derive(Debug, Serialize, Deserialize)]
pub enum VolumeSource {
    Empty,
    /// An image, unpacked.
    Image(ImageFiles),
    /// A copy of another volume of this pool.
    Volume(VolumeName),
}

/// The files of an image, read from their start.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImageFiles {
    /// The unified tarball, or the metadata tarball of a split image.
    pub metadata: FileFd,
    /// The root file system of a split image: squashfs or tarball.
    pub rootfs: Option<FileFd>,
    /// Unpacking stops with `Corrupt` beyond this many bytes or inodes: archive bombs end here.
    pub max_bytes: u64,
    pub max_inodes: u64,
}

/// Where a mounted volume can be had.
#[derive(Debug, Serialize, Deserialize)]
pub enum VolumeRoot {
    /// A detached mount of the volume's root.
    Mount(MountFd),
    /// A directory of the pool: its path below the pool's directory, without `..`, links or a leading slash. Hull makes
    /// the detached mount of it (resolving beneath the pool, following no link), so that the driver needs no right to mount.
    InPool(String),
}

/// Bytes and inodes of a pool or volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub bytes_used: u64,
    /// 0: unknown or without a limit.
    pub bytes_total: u64,
    pub inodes_used: u64,
    pub inodes_total: u64,
}

/// Every method *ensures*: repeated after a crash, it succeeds again.
#[tarpc::service]
pub trait StorageDriver {
    /// Makes the pool in the directory (at `/pool`), block device or server that `config` names, and returns the
    /// configuration with everything filled in that the driver chose.
    ///
    /// # Errors
    /// `AlreadyExists`: the place holds a pool of another name or foreign content; nothing was changed.
    async fn create_pool(op: OperationId, pool: PoolName, config: ConfigMap) -> Result<ConfigMap, DriverError>;
    /// Removes the pool and what the driver made for it. Volumes in it are gone too.
    async fn delete_pool(op: OperationId, pool: PoolName) -> Result<(), DriverError>;
    /// Makes an existing pool usable; the first call to a fresh process. Also after a reboot.
    async fn open_pool(pool: PoolName, config: ConfigMap) -> Result<(), DriverError>;
    async fn pool_usage() -> Result<Usage, DriverError>;

    /// Makes a volume, which outlives a power failure once this has answered. Reports progress (`unpack`, `copy`). On
    /// failure, or if cancelled, nothing is left behind.
    ///
    /// # Errors
    /// `Corrupt`: the image is damaged, climbs out of its root or exceeds its limits. `NoSpace`.
    async fn create_volume(op: OperationId, volume: NewVolume) -> Result<Option<Handle>, DriverError>;
    /// Deletes a volume; one that is gone is `Ok`. Space may be reclaimed after the answer; a power failure does not bring
    /// it back.
    async fn delete_volume(op: OperationId, volume: VolumeName) -> Result<(), DriverError>;
    async fn rename_volume(op: OperationId, from: VolumeName, to: VolumeName) -> Result<(), DriverError>;
    /// Mounts a volume, or returns where it is. Repeated calls return the same tree.
    async fn mount_volume(op: OperationId, volume: VolumeName) -> Result<VolumeRoot, DriverError>;
    /// The opposite; Hull calls it when the last user is gone. Not mounted is `Ok`.
    async fn unmount_volume(op: OperationId, volume: VolumeName) -> Result<(), DriverError>;
    async fn volume_usage(volume: VolumeName) -> Result<Usage, DriverError>;
    /// Limits `volume` to `bytes` and returns the limit in force; `None` lifts it.
    ///
    /// # Errors
    /// `Unsupported`: the driver did not declare `quota`.
    async fn resize_volume(op: OperationId, volume: VolumeName, bytes: Option<u64>)
    -> Result<Option<u64>, DriverError>;

    /// Given all volumes Hull knows: which are missing, and what carries Hull's mark but is not known and can be removed
    /// without loss (half-made volumes, copies of images). A whole volume of an instance or user that Hull does not know is
    /// from another state of its database: the driver logs and leaves it.
    /// `known` may come in several calls; the answer is due when `last` is true.
    async fn reconcile(known: Vec<VolumeName>, last: bool) -> Result<Reconciled, DriverError>;
    /// Deletes what `reconcile` found unknown, half-made volumes included.
    async fn collect(op: OperationId, unknown: Vec<String>) -> Result<(), DriverError>;
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    pub missing: Vec<String>,
    /// Opaque to Hull: only to be given to `collect`.
    pub unknown: Vec<String>,
}
