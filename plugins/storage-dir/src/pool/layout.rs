//! The pool's directories, held open: every name in them is used relative to these.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use hull_plugin::{DriverError, OperationId, VolumeName};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::{Mode, mkdirat};

use super::sync::Sync;
use crate::failure::refused;

pub(crate) const VOLUMES: &str = "volumes";
pub(crate) const MAKING: &str = "making";
pub(crate) const DELETING: &str = "deleting";

pub(crate) struct Pool {
    pub(crate) name: String,
    pub(crate) root: OwnedFd,
    pub(crate) volumes: OwnedFd,
    pub(crate) making: OwnedFd,
    pub(crate) deleting: OwnedFd,
    sync: Sync,
}

/// A directory in `making` that is worked on. It is locked until it is dropped, or its process ends: two processes of this driver
/// may serve the pool for a while, when one replaces the other.
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) directory: Flock<OwnedFd>,
}

/// See [`Pool::claim_abandoned`].
pub(crate) enum Abandoned {
    Directory(#[allow(dead_code)] Flock<OwnedFd>), // held for its Drop
    Other,
}

impl Pool {
    pub(crate) fn new(name: &str, root: OwnedFd) -> Result<Self, DriverError> {
        let directory = |name: &str| {
            ensure_directory(&root, name).map_err(|error| refused(error, format!("cannot open `{name}` in the pool")))
        };
        let (volumes, making, deleting) = (directory(VOLUMES)?, directory(MAKING)?, directory(DELETING)?);
        Ok(Self { name: name.into(), root, volumes, making, deleting, sync: Sync::default() })
    }

    /// The directory of a kind of volumes; made if it is missing.
    pub(crate) fn kind(&self, volume: &VolumeName) -> Result<OwnedFd, DriverError> {
        let kind = volume.parts().0;
        ensure_directory(&self.volumes, kind).map_err(|error| refused(error, format!("cannot open `volumes/{kind}`")))
    }

    /// The volume's directory; `None` if there is no such volume.
    pub(crate) fn find(&self, volume: &VolumeName) -> Result<Option<OwnedFd>, DriverError> {
        let (kind, name) = volume.parts();
        let found = open_directory(&self.volumes, kind).and_then(|kind| open_directory(&kind, name));
        match found {
            Ok(directory) => Ok(Some(directory)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(refused(error, format!("cannot open volume `{volume}`"))),
        }
    }

    /// [`Pool::find`], where the volume must be there.
    pub(crate) fn require(&self, volume: &VolumeName) -> Result<OwnedFd, DriverError> {
        self.find(volume)?.ok_or_else(|| self.missing(volume))
    }

    pub(crate) fn missing(&self, volume: &VolumeName) -> DriverError {
        DriverError::not_found(format!("volume `{volume}` not found in pool `{}`", self.name))
    }

    /// A fresh directory in `making`.
    pub(crate) fn make(&self) -> Result<Made, DriverError> {
        let failed = |error| refused(error, "cannot make a directory in the pool");
        loop {
            let name = String::from(OperationId::random());
            let directory = ensure_directory(&self.making, &name).map_err(failed)?;
            // Before it was locked, another process may have taken it for one that a crash has left: then it is not there now.
            if let Ok(directory) = Flock::lock(directory, FlockArg::LockExclusiveNonblock)
                && open_directory(&self.making, &name).is_ok()
            {
                return Ok(Made { name, directory });
            }
        }
    }

    /// Something in `making` that no process which lives works on; none begins to while this is held.
    pub(crate) fn claim_abandoned(&self, making: &str) -> Option<Abandoned> {
        match open_directory(&self.making, making) {
            Ok(directory) => Flock::lock(directory, FlockArg::LockExclusiveNonblock).ok().map(Abandoned::Directory),
            Err(Errno::ENOENT) => None,
            Err(_) => Some(Abandoned::Other), // nobody makes anything but directories
        }
    }

    /// Returns when all that was written in the pool is on the disk. Those who wait at the same time share the work.
    pub(crate) fn make_durable(&self) -> nix::Result<()> {
        self.sync.wait(&self.root)
    }

    /// Moves something out of sight, to be removed; `false` if it is not there.
    pub(crate) fn discard(&self, directory: &OwnedFd, name: &str) -> nix::Result<bool> {
        let gone = String::from(OperationId::random());
        match renameat2(directory, name, &self.deleting, gone.as_str(), RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Only root may enter: setuid files of guests must not be within reach of the host's users.
pub(crate) fn ensure_directory(parent: &OwnedFd, name: &str) -> nix::Result<OwnedFd> {
    match mkdirat(parent, name, Mode::S_IRWXU) {
        Ok(()) | Err(Errno::EEXIST) => open_directory(parent, name),
        Err(error) => Err(error),
    }
}

pub(crate) fn open_directory(parent: &OwnedFd, name: &str) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

/// The names in a directory.
pub(crate) fn names(directory: &OwnedFd) -> nix::Result<Vec<CString>> {
    let mut reader = nix::dir::Dir::from_fd(open_directory(directory, ".")?)?;
    let names = reader.iter().map(|entry| entry.map(|entry| entry.file_name().to_owned()));
    let names: Vec<CString> = names.collect::<nix::Result<_>>()?;
    Ok(names.into_iter().filter(|name| name.as_c_str() != c"." && name.as_c_str() != c"..").collect())
}
