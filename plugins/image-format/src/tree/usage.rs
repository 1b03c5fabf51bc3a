//! What a tree occupies.

use std::collections::HashSet;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{SFlag, fstat, fstatat};

use crate::error::{Doing, Error, Result, system};
use crate::meter::Meter;

use super::make::adopt_directory;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeUsage {
    /// Allocated, not apparent: holes cost nothing, a file of several names counts once.
    pub bytes: u64,
    pub inodes: u64,
}

/// Measures a directory and all below it, as it is now: what vanishes meanwhile is left out.
///
/// # Errors
/// `Unsupported`: nested deeper than 512 directories.
pub fn tree_usage(directory: OwnedFd, meter: &Meter) -> Result<TreeUsage> {
    let status = fstat(&directory).doing("look at", b".")?;
    let mut walk = Walk { usage: TreeUsage::default(), seen: HashSet::new(), meter };
    walk.count(&status);
    walk.enter(directory, 0)?;
    Ok(walk.usage)
}

struct Walk<'a> {
    usage: TreeUsage,
    /// Files of several names.
    seen: HashSet<u64>,
    meter: &'a Meter,
}

pub(crate) const DEEPEST: u32 = 512;

impl Walk<'_> {
    fn enter(&mut self, directory: OwnedFd, depth: u32) -> Result<()> {
        if depth > DEEPEST {
            return Err(Error::Unsupported(format!("directories are nested deeper than {DEEPEST}")));
        }
        let mut entries = Dir::from_fd(directory).doing("read the directory", b"")?;
        let names = entries.iter().map(|entry| entry.map(|entry| entry.file_name().to_owned()));
        let names: Vec<_> = names.collect::<nix::Result<_>>().doing("read the directory", b"")?;
        for name in names.iter().filter(|name| name.as_c_str() != c"." && name.as_c_str() != c"..") {
            self.meter.go_on()?;
            self.look(entries.as_fd(), name, depth)?;
        }
        Ok(())
    }

    fn look(&mut self, parent: impl AsFd, name: &CStr, depth: u32) -> Result<()> {
        let status = match fstatat(&parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(status) => status,
            Err(Errno::ENOENT) => return Ok(()),
            Err(error) => return Err(system("look at", name.to_bytes(), error)),
        };
        if SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFDIR {
            if status.st_nlink == 1 || self.seen.insert(status.st_ino) {
                self.count(&status);
            }
            return Ok(());
        }
        self.count(&status);
        match adopt_directory(&parent, name) {
            Ok(opened) => self.enter(opened, depth + 1),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(()),
            Err(error) => Err(system("open the directory", name.to_bytes(), error)),
        }
    }

    fn count(&mut self, status: &nix::libc::stat) {
        self.usage.bytes += status.st_blocks.cast_unsigned() * 512;
        self.usage.inodes += 1;
    }
}
