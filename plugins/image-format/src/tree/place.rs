//! Where an archive's path leads: checked component by component, resolved beneath the root without following anything.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use crate::error::{Error, Result, printable, system};

use super::make::make_directory;

/// A path that cannot climb: no leading slash, no `..`, no NUL, no over-long name. `./a//b/` is `a/b`; the root is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place(Vec<u8>);

impl Place {
    pub(crate) fn parse(path: &[u8]) -> Result<Self> {
        let refuse = |why: &str| Err(Error::corrupt(format!("the archive has the path `{}`: {why}", printable(path))));
        if path.starts_with(b"/") {
            return refuse("it is absolute");
        }
        let mut clean = Vec::with_capacity(path.len());
        for component in path.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return refuse("it climbs out of the root by `..`"),
                _ if component.contains(&0) => return refuse("it has a NUL byte in it"),
                _ if component.len() > LONGEST_NAME => return refuse("a name in it is longer than 255 bytes"),
                _ => {}
            }
            if !clean.is_empty() {
                clean.push(b'/');
            }
            clean.extend(component);
        }
        if clean.len() > LONGEST_PATH {
            return refuse("it is longer than 4095 bytes");
        }
        Ok(Self(clean))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first component and the rest: `rootfs`, `etc/passwd`.
    pub(crate) fn split_first(&self) -> (&[u8], &[u8]) {
        let cut = self.0.iter().position(|byte| *byte == b'/').unwrap_or(self.0.len());
        (&self.0[..cut], self.0.get(cut + 1..).unwrap_or_default())
    }

    /// The parent's path and the name; `None` for the root.
    pub(crate) fn split_last(&self) -> Option<(&[u8], CString)> {
        let cut = self.0.iter().rposition(|byte| *byte == b'/');
        let name = CString::new(&self.0[cut.map_or(0, |cut| cut + 1)..]).ok()?; // no NUL: checked in `parse`
        (!name.is_empty()).then_some((&self.0[..cut.unwrap_or(0)], name))
    }
}

/// Opens a directory below `root`, at which `path` is a clean relative path; empty: the root itself.
pub(crate) fn open_beneath(root: impl AsFd, path: &[u8]) -> nix::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS
        | ResolveFlag::RESOLVE_NO_XDEV;
    // No O_NOFOLLOW: with it a link at the end would be told as `no directory`.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let path = if path.is_empty() { b"." } else { path };
    openat2(root, OsStr::from_bytes(path), OpenHow::new().flags(flags).resolve(resolve))
}

/// Open parents: archives name their files directory by directory. Directories are never replaced while a tree is
/// being made, so an open one stays the right one.
pub(crate) struct Parents<'a> {
    root: BorrowedFd<'a>,
    open: HashMap<Vec<u8>, Rc<OwnedFd>>,
}

const MOST_OPEN: usize = 128;

impl<'a> Parents<'a> {
    pub(crate) fn new(root: BorrowedFd<'a>) -> Self {
        Self { root, open: HashMap::new() }
    }

    /// The directory at `path`, which must be there.
    pub(crate) fn open(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>> {
        if let Some(found) = self.open.get(path) {
            return Ok(found.clone());
        }
        let opened = Rc::new(open_beneath(self.root, path).map_err(|error| refused(path, error))?);
        if self.open.len() >= MOST_OPEN {
            self.open.clear();
        }
        self.open.insert(path.to_vec(), opened.clone());
        Ok(opened)
    }

    /// The directory at `path`; missing ones on the way are made and named to `made`.
    pub(crate) fn ensure(&mut self, path: &[u8], mut made: impl FnMut(&[u8]) -> Result<()>) -> Result<Rc<OwnedFd>> {
        match self.open(path) {
            Err(Error::System { source, .. }) if source.raw_os_error() == Some(Errno::ENOENT as i32) => {}
            result => return result,
        }
        let mut parent = self.open(b"")?;
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([path.len()]);
        let mut start = 0;
        for end in ends {
            let name = CString::new(&path[start..end]).map_err(|_| refused(path, Errno::EINVAL))?;
            match make_directory(&*parent, &name) {
                Ok(()) => made(&path[..end])?,
                Err(Errno::EEXIST) => {}
                Err(error) => return Err(system("make the directory", path, error)),
            }
            parent = self.open(&path[..end])?;
            start = end + 1;
        }
        Ok(parent)
    }
}

fn refused(path: &[u8], error: Errno) -> Error {
    let shown = printable(path);
    match error {
        Errno::ELOOP => {
            Error::Corrupt(format!("the archive has a path that leads through a symbolic link in `{shown}`"))
        }
        Errno::ENOTDIR => Error::Corrupt(format!("the archive uses `{shown}` as a directory, but it is none")),
        Errno::EXDEV => Error::Corrupt(format!("the archive has a path that leaves its root in `{shown}`")),
        _ => system("open the directory", path, error),
    }
}

/// A name as the kernel takes it.
pub(crate) fn component(name: &[u8]) -> Result<CString> {
    let place = Place::parse(name)?;
    match place.split_last() {
        Some((b"", whole)) if whole.as_bytes() == name => Ok(whole),
        _ => Err(Error::corrupt(format!("the image has a file of the impossible name `{}`", printable(name)))),
    }
}

/// For messages about something in an open directory.
pub(crate) fn joined(directory: &[u8], name: &CStr) -> Vec<u8> {
    if directory.is_empty() { name.to_bytes().to_vec() } else { [directory, b"/", name.to_bytes()].concat() }
}

const LONGEST_NAME: usize = 255; // linux/limits.h NAME_MAX
const LONGEST_PATH: usize = 4095; // linux/limits.h PATH_MAX, less the NUL

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_climb_are_refused_and_others_made_plain() {
        for bad in [&b"/etc"[..], b"..", b"a/../b", b"a/..", b"a\0b", b"/", &[b'x'; 256], &b"a/".repeat(2049)] {
            assert!(Place::parse(bad).is_err(), "{}", printable(bad));
        }
        assert_eq!(Place::parse(b"./a//b/").unwrap().as_bytes(), b"a/b");
        assert_eq!(Place::parse(b"./").unwrap().split_last(), None);
        assert_eq!(Place::parse(b"rootfs/a/b").unwrap().split_first(), (&b"rootfs"[..], &b"a/b"[..]));
        assert!(component(b"a").is_ok());
        for bad in [&b""[..], b".", b"..", b"a/b", b"/a", b"a/", b"a\0"] {
            assert!(component(bad).is_err(), "{}", printable(bad));
        }
    }
}
