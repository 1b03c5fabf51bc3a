//! What a tree occupies.

use std::collections::HashSet;
use std::os::fd::OwnedFd;

use nix::dir::{Dir, OwningIter};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::libc;
use nix::sys::stat::{fstat, fstatat};

use crate::error::{Doing, Error, Result, system};
use crate::meter::Meter;

use super::make::{adopt_directory, duplicate};

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
    let mut walk = Walk { usage: TreeUsage::default(), seen: HashSet::new(), further: Shares::default(), meter };
    walk.count(&status);
    let mut levels = vec![Level::of(directory)?];
    while let Some(level) = levels.last_mut() {
        match walk.next_below(level)? {
            Some(_) if levels.len() > DEEPEST as usize => {
                return Err(Error::Unsupported(format!("directories are nested deeper than {DEEPEST}")));
            }
            Some(below) => levels.push(Level::of(below)?),
            None => drop(levels.pop()),
        }
    }
    Ok(walk.total())
}

/// A directory being read, up to where the walk is below it: its names are never all in memory.
struct Level {
    directory: OwnedFd,
    entries: OwningIter,
}

impl Level {
    fn of(directory: OwnedFd) -> Result<Self> {
        let entries = Dir::from_fd(duplicate(&directory)?).doing("read the directory", b"")?.into_iter();
        Ok(Self { directory, entries })
    }
}

struct Walk<'a> {
    usage: TreeUsage,
    /// Files of several names.
    seen: HashSet<u64>,
    /// Those of them that `seen` has no room for.
    further: Shares,
    meter: &'a Meter,
}

/// Of a file with several names each one counts for its part: right if all of them are in the tree.
#[derive(Default)]
struct Shares {
    bytes: f64,
    inodes: f64,
}

pub(crate) const DEEPEST: u32 = 512;
const MOST_SEEN: usize = 1 << 20;

impl Walk<'_> {
    /// Counts on up to the next subdirectory, and opens that.
    fn next_below(&mut self, level: &mut Level) -> Result<Option<OwnedFd>> {
        for entry in level.entries.by_ref() {
            let entry = entry.doing("read the directory", b"")?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            self.meter.go_on()?;
            let status = match fstatat(&level.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(status) => status,
                Err(Errno::ENOENT) => continue, // gone meanwhile
                Err(error) => return Err(system("look at", name.to_bytes(), error)),
            };
            if status.st_mode & libc::S_IFMT != libc::S_IFDIR {
                self.file(&status);
                continue;
            }
            self.count(&status);
            match adopt_directory(&level.directory, name) {
                Ok(opened) => return Ok(Some(opened)),
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {} // gone meanwhile
                Err(error) => return Err(system("open the directory", name.to_bytes(), error)),
            }
        }
        Ok(None)
    }

    fn file(&mut self, status: &libc::stat) {
        if status.st_nlink == 1 {
            self.count(status);
        } else if self.seen.len() < MOST_SEEN {
            if self.seen.insert(status.st_ino) {
                self.count(status);
            }
        } else if !self.seen.contains(&status.st_ino) {
            let names = status.st_nlink.max(1) as f64; // 0: it was removed this moment
            self.further.bytes += (status.st_blocks * 512) as f64 / names;
            self.further.inodes += 1.0 / names;
        }
    }

    fn count(&mut self, status: &libc::stat) {
        self.usage.bytes += status.st_blocks.cast_unsigned() * 512;
        self.usage.inodes += 1;
    }

    fn total(self) -> TreeUsage {
        let Self { usage, further, .. } = self;
        let (bytes, inodes) = (further.bytes.round() as u64, further.inodes.round() as u64);
        TreeUsage { bytes: usage.bytes.saturating_add(bytes), inodes: usage.inodes.saturating_add(inodes) }
    }
}
