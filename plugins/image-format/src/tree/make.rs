//! Making one thing in an open directory. Everything is new: nothing is opened that was there before.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, mkdirat, mknodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{fchownat, linkat, symlinkat};

use crate::error::{Doing, Error, Result};

use super::attributes::{Attributes, Settled};

/// What is made whole at once, without content to write.
#[derive(Clone, Debug)]
pub(crate) enum Special {
    SymbolicLink(std::ffi::CString),
    Fifo,
    Socket,
    CharacterDevice(u64),
    BlockDevice(u64),
}

impl Special {
    /// Whether it leads to a driver of the kernel. Number 0:0 leads nowhere: with it overlayfs says that a file is deleted.
    pub(crate) fn is_device(&self) -> bool {
        match self {
            Self::CharacterDevice(number) => *number != 0,
            Self::BlockDevice(_) => true,
            Self::SymbolicLink(_) | Self::Fifo | Self::Socket => false,
        }
    }
}

/// A new empty file with the mode it will have. [`finish_file`] completes it.
pub(crate) fn create_file(directory: impl AsFd, name: &CStr, attributes: &Attributes) -> nix::Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(directory, name, flags, attributes.mode()).map(File::from)
}

/// After the last write: a write takes set-user-id bits and capabilities away.
pub(crate) fn finish_file(file: &File, attributes: &Attributes, name: &[u8]) -> Result<()> {
    attributes.apply(file.as_fd(), name, Settled::RootsWithMode)
}

/// A new directory only we can enter until [`finish_directory`].
pub(crate) fn make_directory(directory: impl AsFd, name: &CStr) -> nix::Result<()> {
    mkdirat(directory, name, Mode::S_IRWXU)
}

/// Another descriptor of the same directory.
pub(super) fn duplicate(directory: &OwnedFd) -> Result<OwnedFd> {
    directory.try_clone().map_err(|source| Error::System { action: "duplicate", name: String::new(), source })
}

/// Opens a directory by its name, following nothing.
pub(crate) fn adopt_directory(directory: impl AsFd, name: &CStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(directory, name, flags, Mode::empty())
}

/// After the last entry was made in it: that changes its time, and a default ACL or set-group-id bit would have
/// changed the entries.
pub(crate) fn finish_directory(directory: BorrowedFd, attributes: &Attributes, name: &[u8]) -> Result<()> {
    attributes.apply(directory, name, Settled::Nothing)
}

pub(crate) fn make_special(directory: impl AsFd, name: &CStr, what: &Special, attributes: &Attributes) -> Result<()> {
    let directory = directory.as_fd();
    let shown = name.to_bytes();
    match what {
        Special::SymbolicLink(target) => {
            symlinkat(target.as_c_str(), directory, name).doing("make the symbolic link", shown)?;
        }
        Special::Fifo => node(directory, name, SFlag::S_IFIFO, attributes, 0)?,
        Special::Socket => node(directory, name, SFlag::S_IFSOCK, attributes, 0)?,
        Special::CharacterDevice(number) => node(directory, name, SFlag::S_IFCHR, attributes, *number)?,
        Special::BlockDevice(number) => node(directory, name, SFlag::S_IFBLK, attributes, *number)?,
    }
    if !attributes.is_roots() {
        let (owner, group) = attributes.ids();
        fchownat(directory, name, owner, group, AtFlags::AT_SYMLINK_NOFOLLOW).doing("set the owner of", shown)?;
    }
    attributes.apply_extended_at(directory, name)?;
    let flag = UtimensatFlags::NoFollowSymlink;
    utimensat(directory, name, &TimeSpec::UTIME_OMIT, &attributes.time(), flag).doing("set the time of", shown)
}

/// A second name for a file of the same tree.
pub(crate) fn make_link(from: impl AsFd, old: &CStr, to: impl AsFd, new: &CStr) -> nix::Result<()> {
    linkat(from, old, to, new, AtFlags::empty()) // without AT_SYMLINK_FOLLOW: a link to a link is a link
}

fn node(directory: BorrowedFd, name: &CStr, kind: SFlag, attributes: &Attributes, device: u64) -> Result<()> {
    match mknodat(directory, name, kind, attributes.mode(), device) {
        Err(Errno::EPERM) => Err(Error::Unsupported(format!(
            "cannot make the device node `{}`: this process may not make device nodes",
            crate::error::printable(name.to_bytes())
        ))),
        result => result.doing("make the node", name.to_bytes()),
    }
}
