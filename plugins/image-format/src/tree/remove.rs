//! Removing a tree, however deep, without following anything.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::renameat;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::error::{Doing, Result, system};
use crate::meter::Meter;

use super::make::{adopt_directory, duplicate};

/// Removes `name` in `directory` and all below it; one that is gone is `Ok`.
pub fn remove_tree(directory: impl AsFd, name: &CStr, meter: &Meter) -> Result<()> {
    match unlinkat(&directory, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(()),
        Err(Errno::EISDIR | Errno::EPERM) => {}
        Err(error) => return Err(system("remove", name.to_bytes(), error)),
    }
    let (Some(top), Some(entries)) = (if_there(&directory, name)?, if_there(&directory, name)?) else { return Ok(()) };
    Removal { top, raised: 0, meter }.empty(entries, 0)?;
    match unlinkat(&directory, name, UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(system("remove the directory", name.to_bytes(), error)),
    }
}

/// `None`: somebody else who removes the same tree was faster.
fn if_there(parent: impl AsFd, name: &CStr) -> Result<Option<OwnedFd>> {
    match adopt_directory(parent, name) {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(system("open the directory", name.to_bytes(), error)),
    }
}

struct Removal<'a> {
    top: OwnedFd,
    /// How many directories were moved up so far: their names.
    raised: u64,
    meter: &'a Meter,
}

/// Deeper directories are moved up to the top before they are emptied, so that depth costs neither stack nor descriptors.
const DEEPEST: u32 = 64;

/// So often in a row a directory may list names and nothing of it goes: several may be at work on the same tree.
const MOST_IN_VAIN: u32 = 8;

impl Removal<'_> {
    /// Entries go while they are read, so that a directory of millions of names costs no memory. What is moved up from
    /// below arrives at the top, and a file system may pass over names while others go: until nothing is seen any more. One that
    /// goes on listing what is not there (a damaged directory) is left to `rmdir`, which says so.
    fn empty(&mut self, directory: OwnedFd, depth: u32) -> Result<()> {
        let here = duplicate(&directory)?;
        let mut entries = Dir::from_fd(directory).doing("read the directory", b"")?;
        let mut in_vain = 0;
        while in_vain < MOST_IN_VAIN {
            let (mut seen, mut gone) = (false, false);
            for entry in entries.iter() {
                let entry = entry.doing("read the directory", b"")?;
                let name = entry.file_name();
                if name == c"." || name == c".." {
                    continue;
                }
                seen = true;
                self.meter.go_on()?;
                gone |= self.entry(&here, name, entry.file_type(), depth)?;
            }
            if !seen {
                return Ok(());
            }
            in_vain = if gone { 0 } else { in_vain + 1 };
        }
        Ok(())
    }

    /// `false`: there was nothing to remove.
    fn entry(&mut self, parent: &OwnedFd, name: &CStr, kind: Option<Type>, depth: u32) -> Result<bool> {
        if kind != Some(Type::Directory) {
            match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
                Ok(()) => return Ok(true),
                Err(Errno::ENOENT) => return Ok(false),
                Err(Errno::EISDIR) => {} // the file system does not tell types
                Err(error) => return Err(system("remove", name.to_bytes(), error)),
            }
        }
        self.remove_directory(parent, name, depth)
    }

    fn remove_directory(&mut self, parent: &OwnedFd, name: &CStr, depth: u32) -> Result<bool> {
        match unlinkat(parent, name, UnlinkatFlags::RemoveDir) {
            Ok(()) => return Ok(true),
            Err(Errno::ENOENT) => return Ok(false),
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => {}
            Err(error) => return Err(system("remove the directory", name.to_bytes(), error)),
        }
        if depth >= DEEPEST {
            return self.raise(parent, name);
        }
        let Some(opened) = if_there(parent, name)? else { return Ok(false) };
        self.empty(opened, depth + 1)?;
        match unlinkat(parent, name, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(true),
            Err(error) => Err(system("remove the directory", name.to_bytes(), error)),
        }
    }

    fn raise(&mut self, parent: &OwnedFd, name: &CStr) -> Result<bool> {
        loop {
            self.raised += 1;
            let Ok(new) = CString::new(format!(".raised-{}-{}", std::process::id(), self.raised)) else { continue };
            match renameat(parent, name, &self.top, new.as_c_str()) {
                Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR) => {} // a name somebody else chose
                Err(Errno::ENOENT) => return Ok(false),                      // somebody else was faster
                result => return result.map(|()| true).doing("move up the directory", name.to_bytes()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As when the process that a deletion was begun in is replaced, and its successor begins anew.
    #[test]
    fn several_may_remove_the_same_tree() {
        for _ in 0..4 {
            let place = tempfile::tempdir().unwrap();
            for number in 0..200 {
                let folder = place.path().join(format!("tree/{}/{number}/deep/er", number % 7));
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(folder.join("file"), "x").unwrap();
            }
            let parent = std::fs::File::open(place.path()).unwrap();
            std::thread::scope(|scope| {
                let removal = || remove_tree(&parent, c"tree", &Meter::default());
                let all: Vec<_> = (0..4).map(|_| scope.spawn(removal)).collect();
                for one in all {
                    one.join().unwrap().unwrap();
                }
            });
            assert!(!place.path().join("tree").exists());
        }
    }
}
