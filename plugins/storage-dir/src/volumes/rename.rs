//! Renaming a volume.

use hull_plugin::{Code, DriverError, VolumeName};
use nix::errno::Errno;
use nix::fcntl::{RenameFlags, renameat2};
use nix::unistd::fsync;

use crate::failure::refused;
use crate::pool::Pool;

use super::record::Layout;

/// Done before is `Ok`: the old name is gone and the new one is there.
pub(crate) fn rename(pool: &Pool, from: &VolumeName, to: &VolumeName) -> Result<(), DriverError> {
    let what = || format!("cannot rename volume `{from}` to `{to}`");
    if Layout::of(from) != Layout::of(to) {
        return Err(DriverError::new(Code::Unsupported, what()).because("one is an instance's, the other is not"));
    }
    if pool.find(from)?.is_none() {
        return if pool.find(to)?.is_some() { Ok(()) } else { Err(pool.missing(from).context(what())) };
    }
    let (old, new) = (pool.kind(from)?, pool.kind(to)?);
    match renameat2(&old, from.parts().1, &new, to.parts().1, RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => fsync(&new).map_err(|error| refused(error, what())),
        Err(Errno::EEXIST) if from == to => Ok(()),
        Err(Errno::EEXIST) => {
            Err(DriverError::new(Code::AlreadyExists, what()).because(format!("volume `{to}` exists")))
        }
        Err(error) => Err(refused(error, what())),
    }
}
