//! What a tree occupies.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::libc;
use nix::sys::stat::{fstat, fstatat};

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
    let mut walk = Walk { usage: TreeUsage::default(), seen: HashSet::new(), waiting: Vec::new(), meter };
    walk.count(&status);
    walk.directory(directory, 0)?;
    while let Some(Subdirectory { parent, name, depth }) = walk.waiting.pop() {
        match adopt_directory(&*parent, &name) {
            Ok(opened) => walk.directory(opened, depth)?,
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {} // gone meanwhile
            Err(error) => return Err(system("open the directory", name.to_bytes(), error)),
        }
    }
    Ok(walk.usage)
}

struct Walk<'a> {
    usage: TreeUsage,
    /// Files of several names.
    seen: HashSet<u64>,
    /// The last one first, so that few parents stay open.
    waiting: Vec<Subdirectory>,
    meter: &'a Meter,
}

struct Subdirectory {
    parent: Rc<Dir>,
    name: CString,
    depth: u32,
}

pub(crate) const DEEPEST: u32 = 512;

impl Walk<'_> {
    fn directory(&mut self, directory: OwnedFd, depth: u32) -> Result<()> {
        if depth > DEEPEST {
            return Err(Error::Unsupported(format!("directories are nested deeper than {DEEPEST}")));
        }
        let mut entries = Dir::from_fd(directory).doing("read the directory", b"")?;
        let names = entries.iter().map(|entry| entry.map(|entry| entry.file_name().to_owned()));
        let names: Vec<_> = names.collect::<nix::Result<_>>().doing("read the directory", b"")?;
        let parent = Rc::new(entries);
        for name in names.into_iter().filter(|name| name.as_c_str() != c"." && name.as_c_str() != c"..") {
            self.meter.go_on()?;
            self.entry(&parent, name, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, parent: &Rc<Dir>, name: CString, depth: u32) -> Result<()> {
        let status = match fstatat(&**parent, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(status) => status,
            Err(Errno::ENOENT) => return Ok(()), // gone meanwhile
            Err(error) => return Err(system("look at", name.to_bytes(), error)),
        };
        if status.st_mode & libc::S_IFMT == libc::S_IFDIR {
            self.count(&status);
            self.waiting.push(Subdirectory { parent: parent.clone(), name, depth: depth + 1 });
        } else if status.st_nlink == 1 || self.seen.insert(status.st_ino) {
            self.count(&status);
        }
        Ok(())
    }

    fn count(&mut self, status: &libc::stat) {
        self.usage.bytes += status.st_blocks.cast_unsigned() * 512;
        self.usage.inodes += 1;
    }
}
