//! Deleting a volume: out of sight at once, its space comes back later.

use hull_plugin::{DriverError, VolumeName};
use nix::errno::Errno;

use crate::failure::refused;
use crate::pool::{Pool, open_directory};

/// Whether there was something to delete.
pub(crate) fn delete(pool: &Pool, volume: &VolumeName) -> Result<bool, DriverError> {
    let (kind, name) = volume.parts();
    match open_directory(&pool.volumes, kind).and_then(|kind| pool.discard(&kind, name)) {
        Err(Errno::ENOENT) => Ok(false),
        result => result.map_err(|error| refused(error, format!("cannot delete volume `{volume}`"))),
    }
}
