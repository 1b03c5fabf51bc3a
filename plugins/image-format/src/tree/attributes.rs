//! What a file has besides its content: owner, mode, time, extended attributes.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};

use hull_sys::attribute;
use nix::errno::Errno;
use nix::sys::stat::{Mode, fchmod, futimens};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown};

use crate::error::{Doing, Result, system};

#[derive(Clone, Debug)]
pub(crate) struct Attributes {
    pub(crate) owner: u32,
    pub(crate) group: u32,
    /// Permissions with set-user-id, set-group-id and sticky bit.
    pub(crate) mode: u32,
    /// Seconds and nanoseconds.
    pub(crate) modified: (i64, u32),
    pub(crate) extended: Vec<(CString, Vec<u8>)>,
}

impl Attributes {
    /// Root's, with no time to keep.
    pub(crate) fn plain(mode: u32) -> Self {
        Self { owner: 0, group: 0, mode, modified: (0, 0), extended: Vec::new() }
    }

    pub(crate) fn mode(&self) -> Mode {
        Mode::from_bits_truncate(self.mode)
    }

    pub(crate) fn time(&self) -> TimeSpec {
        TimeSpec::new(self.modified.0, i64::from(self.modified.1))
    }

    pub(crate) fn is_roots(&self) -> bool {
        self.owner == 0 && self.group == 0
    }

    pub(crate) fn ids(&self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.owner)), Some(Gid::from_raw(self.group)))
    }

    /// How much a hostile image makes us store besides content.
    pub(crate) fn weight(&self) -> u64 {
        self.extended.iter().map(|(name, value)| (name.count_bytes() + value.len()) as u64).sum()
    }

    /// Gives an open file its attributes. The order matters: a change of owner takes set-user-id bits and file
    /// capabilities away, a change of mode edits an ACL, and all of them touch the times.
    ///
    /// `settled`: the file is new and was created with this mode by root, so that only what differs needs doing.
    pub(crate) fn apply(&self, file: BorrowedFd, name: &[u8], settled: Settled) -> Result<()> {
        let change_owner = settled == Settled::Nothing || !self.is_roots();
        if change_owner {
            let (owner, group) = self.ids();
            fchown(file, owner, group).doing("set the owner of", name)?;
        }
        if settled == Settled::Nothing || (change_owner && self.mode & 0o6000 != 0) {
            fchmod(file, self.mode()).doing("set the mode of", name)?;
        }
        for (attribute, value) in &self.extended {
            tolerate(attribute, attribute::set(file, attribute, value), name)?;
        }
        futimens(file, &TimeSpec::UTIME_OMIT, &self.time()).doing("set the time of", name)
    }

    /// The extended attributes of something that must not be opened: a link, a device, a fifo.
    pub(crate) fn apply_extended_at(&self, directory: impl AsFd, name: &CStr) -> Result<()> {
        for (attribute, value) in &self.extended {
            match attribute::set_at(&directory, name, attribute, value) {
                Err(Errno::ENOSYS) => {
                    tracing::warn!(?name, ?attribute, "this kernel cannot set attributes of links and devices");
                }
                result => tolerate(attribute, result, name.to_bytes())?,
            }
        }
        Ok(())
    }
}

/// How far a file's attributes are right from its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    Nothing,
    RootsWithMode,
}

/// What a system without SELinux or without the right to set `trusted.*` must not lose is what works inside a container;
/// labels of other systems are left out.
fn tolerate(attribute: &CStr, result: nix::Result<()>, name: &[u8]) -> Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(Errno::EPERM | Errno::EOPNOTSUPP | Errno::EINVAL) if !is_essential(attribute) => {
            tracing::debug!(?attribute, name = %crate::error::printable(name), "attribute left out");
            Ok(())
        }
        Err(error) => Err(system("set an extended attribute of", name, error)),
    }
}

fn is_essential(attribute: &CStr) -> bool {
    let name = attribute.to_bytes();
    name == b"security.capability" || name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_")
}
