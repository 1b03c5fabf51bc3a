//! One pool's driver.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hull_plugin::storage::{NewVolume, Reconciled, Usage, VolumeRoot};
use hull_plugin::{Code, ConfigMap, DriverError, Handle, MountFd, OperationId, PoolName, VolumeName};
use hull_sys::mount::{Depth, Links, attribute, open_beneath, open_tree_clone, restrict};

use super::declare::{BULK, CHANGE, OPENING, QUERY, SLOW, driver_handle};
use super::reconcile::reconcile_all;
use crate::look;
use crate::plugins::process::Process;

/// How long it may take to open a directory of a pool.
const TAKING: Duration = Duration::from_secs(30);

/// The volumes of one pool.
#[derive(Clone)]
pub struct StorageHandle {
    pub(crate) process: Arc<Process>,
    pub(crate) source: Arc<PathBuf>,
}

reconcile_all!(StorageHandle, VolumeName);

driver_handle! {
    StorageHandle, storage {
        create_pool(op: &OperationId, pool: &PoolName, config: &ConfigMap) -> ConfigMap, SLOW;
        delete_pool(op: &OperationId, pool: &PoolName) -> (), SLOW;
        open_pool(pool: &PoolName, config: &ConfigMap) -> (), OPENING;
        pool_usage() -> Usage, QUERY;
        create_volume(op: &OperationId, volume: &NewVolume) -> Option<Handle>, BULK;
        delete_volume(op: &OperationId, volume: &VolumeName) -> (), BULK;
        rename_volume(op: &OperationId, from: &VolumeName, to: &VolumeName) -> (), CHANGE;
        mount_volume(op: &OperationId, volume: &VolumeName) -> VolumeRoot, CHANGE;
        unmount_volume(op: &OperationId, volume: &VolumeName) -> (), CHANGE;
        volume_usage(volume: &VolumeName) -> Usage, QUERY;
        resize_volume(op: &OperationId, volume: &VolumeName, bytes: Option<u64>) -> Option<u64>, CHANGE;
        reconcile(known: &[VolumeName], last: bool) -> Reconciled, SLOW;
        collect(op: &OperationId, unknown: &[String]) -> (), BULK;
    }
}

impl StorageHandle {
    /// Mounts a volume and returns its root as a detached mount, wherever the driver has it.
    pub async fn mounted(&self, op: &OperationId, volume: &VolumeName) -> Result<MountFd, DriverError> {
        self.mounted_at(op, volume, Path::new("")).await
    }

    /// The same of a directory in the volume; no link on the way is followed.
    pub async fn mounted_at(
        &self,
        op: &OperationId,
        volume: &VolumeName,
        directory: &Path,
    ) -> Result<MountFd, DriverError> {
        match self.mount_volume(op, volume).await? {
            VolumeRoot::Mount(mount) if directory.as_os_str().is_empty() => Ok(mount),
            // Linux 6.15 and later: before that only what is attached can be cloned.
            VolumeRoot::Mount(mount) => clone_beneath(mount.as_fd(), directory).map_err(|error| {
                let what = format!("cannot open `{}` of volume `{volume}`", directory.display());
                DriverError::system(&error, what)
            }),
            VolumeRoot::InPool(path) => {
                let what = format!("cannot take `{path}`, which plugin `{}` named as volume `{volume}`", self.plugin());
                let below: PathBuf = Path::new(&path).components().chain(directory.components()).collect();
                // The pool's file system may hang where its driver does not.
                match look::at_within(TAKING, &self.source, move |pool| clone_in_pool(pool, &below)).await {
                    Ok(taken) => taken.map_err(|error| DriverError::system(&error, what)),
                    Err(silent) => Err(DriverError::new(Code::DeadlineExceeded, what).because(silent)),
                }
            }
        }
    }
}

/// The driver's answer is not trusted: the path can lead nowhere but into its own pool.
fn clone_in_pool(pool: &Path, path: &Path) -> std::io::Result<MountFd> {
    let mount = clone_beneath(File::open(pool)?.as_fd(), path)?;
    restrict(mount.as_fd(), attribute::NO_DEVICES, Depth::This)?;
    Ok(mount)
}

fn clone_beneath(root: BorrowedFd, path: &Path) -> std::io::Result<MountFd> {
    let directory = open_beneath(root, path, nix::libc::O_PATH | nix::libc::O_DIRECTORY, Links::Refuse)?;
    Ok(MountFd::new(open_tree_clone(directory.as_fd(), Path::new(""), Depth::This)?))
}
