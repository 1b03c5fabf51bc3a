//! Deleting a volume: out of sight at once, its space comes back later.

use hull_plugin::{DriverError, VolumeName};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::fsync;

use crate::failure::refused;
use crate::pool::{Pool, open_directory};

/// Whether there was something to delete. Durable: a power failure must not bring back under its name what is deleted.
pub(crate) fn delete(pool: &Pool, volume: &VolumeName) -> Result<bool, DriverError> {
    let (kind, name) = volume.parts();
    // A process that this one replaced may still copy from it.
    let found = pool.find(volume)?.map(|directory| Flock::lock(directory, FlockArg::LockExclusive));
    let _unused = found.transpose().map_err(|(_, error)| refused(error, format!("cannot lock volume `{volume}`")))?;
    let discarded = open_directory(&pool.volumes, kind).and_then(|kind| {
        let found = pool.discard(&kind, name)?;
        if found {
            fsync(&kind)?;
        }
        Ok(found)
    });
    match discarded {
        Err(Errno::ENOENT) => Ok(false),
        result => result.map_err(|error| refused(error, format!("cannot delete volume `{volume}`"))),
    }
}
