//! The descriptor-based mount calls: clone a tree, id-map it, attach it, and resolve a path without leaving a directory.

use std::ffi::CString;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

const OPEN_TREE_CLONE: libc::c_uint = 1; // linux/mount.h
const OPEN_TREE_CLOEXEC: libc::c_uint = libc::O_CLOEXEC as libc::c_uint; // linux/mount.h
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x4; // linux/mount.h
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40; // linux/mount.h

/// Attributes of a mount, as `MOUNT_ATTR_*` of linux/mount.h.
pub mod attribute {
    pub const READ_ONLY: u64 = 0x1;
    pub const NO_SUID: u64 = 0x2;
    pub const NO_DEVICES: u64 = 0x4;
    pub const NO_EXECUTE: u64 = 0x8;
    pub(super) const ID_MAP: u64 = 0x0010_0000;
}

/// linux/mount.h `struct mount_attr`
#[repr(C)]
#[derive(Default)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Whether what is mounted below a directory comes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    This,
    Recursive,
}

impl Depth {
    fn flag(self) -> libc::c_uint {
        match self {
            Depth::This => 0,
            Depth::Recursive => libc::AT_RECURSIVE as libc::c_uint,
        }
    }
}

/// A detached, private copy of the mount at `path`, relative to `directory`; an empty path is `directory` itself.
///
/// Private, because service managers share every mount of the host: a copy that shared would carry what is mounted in it back
/// to the host, and could not become the root of a container.
///
/// # Errors
/// `EPERM`: no `CAP_SYS_ADMIN` over the mount namespace. `EINVAL`: `directory` is from another mount namespace.
pub fn open_tree_clone(directory: BorrowedFd, path: &Path, depth: Depth) -> nix::Result<OwnedFd> {
    let path = c_path(path)?;
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH as libc::c_uint | depth.flag();
    // SAFETY: `path` is a valid C string for the call's duration; the descriptor is borrowed.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, directory.as_raw_fd(), path.as_ptr(), flags) };
    let copy = owned(fd)?;
    make_private(copy.as_fd())?;
    Ok(copy)
}

/// Maps the ids of a detached, never attached mount (and what is below it) through `user_namespace`.
///
/// # Errors
/// `EINVAL`: the file system cannot be id-mapped, is mapped already or was attached. `EPERM`: not privileged over it.
pub fn idmap(mount: BorrowedFd, user_namespace: BorrowedFd) -> nix::Result<()> {
    let attributes = MountAttributes {
        set: attribute::ID_MAP,
        user_namespace: u64::try_from(user_namespace.as_raw_fd()).map_err(|_| Errno::EBADF)?,
        ..MountAttributes::default()
    };
    set_attributes(mount, c"", &attributes, Depth::Recursive)
}

/// Sets [`attribute`]s on the mount `mount` stands for.
pub fn restrict(mount: BorrowedFd, set: u64, depth: Depth) -> nix::Result<()> {
    set_attributes(mount, c"", &MountAttributes { set, ..MountAttributes::default() }, depth)
}

/// Makes the mount `mount` stands for (and all below it) private: nothing propagates in or out.
pub fn make_private(mount: BorrowedFd) -> nix::Result<()> {
    let attributes = MountAttributes { propagation: libc::MS_PRIVATE, ..MountAttributes::default() };
    set_attributes(mount, c"", &attributes, Depth::Recursive)
}

/// Attaches a detached mount at `path`, relative to `directory`; an empty path is `directory` itself.
pub fn move_mount(mount: BorrowedFd, directory: BorrowedFd, path: &Path) -> nix::Result<()> {
    let path = c_path(path)?;
    let flags = MOVE_MOUNT_F_EMPTY_PATH | if path.is_empty() { MOVE_MOUNT_T_EMPTY_PATH } else { 0 };
    // SAFETY: both paths are valid C strings for the call's duration; the descriptors are borrowed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            directory.as_raw_fd(),
            path.as_ptr(),
            flags,
        )
    };
    Errno::result(result).map(drop)
}

/// How [`open_beneath`] treats symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// None is followed: `ELOOP`.
    Refuse,
    /// Followed as long as they stay below the directory.
    Follow,
}

/// Opens `path` below `directory` with `flags` (`O_*`); it cannot lead out, whatever is in it.
///
/// # Errors
/// `EXDEV`: the path leads out. `ELOOP`: a link where none is allowed.
pub fn open_beneath(directory: BorrowedFd, path: &Path, flags: i32, links: Links) -> nix::Result<OwnedFd> {
    let path = c_path(if path.as_os_str().is_empty() { Path::new(".") } else { path })?;
    // SAFETY: an all-zero `open_how` is a valid value of this plain structure.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::try_from(flags | libc::O_CLOEXEC).map_err(|_| Errno::EINVAL)?;
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
    if links == Links::Refuse {
        how.resolve |= libc::RESOLVE_NO_SYMLINKS;
    }
    // SAFETY: `path` and `how` live through the call; the size given is that of `how`.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            directory.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    };
    owned(fd)
}

fn set_attributes(
    mount: BorrowedFd,
    path: &std::ffi::CStr,
    attributes: &MountAttributes,
    depth: Depth,
) -> nix::Result<()> {
    let flags = libc::AT_EMPTY_PATH as libc::c_uint | depth.flag();
    // SAFETY: `path` and `attributes` live through the call; the size given is that of `attributes`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            path.as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of::<MountAttributes>(),
        )
    };
    Errno::result(result).map(drop)
}

fn c_path(path: &Path) -> nix::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

fn owned(result: libc::c_long) -> nix::Result<OwnedFd> {
    let fd = RawFd::try_from(Errno::result(result)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just installed this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn a_path_cannot_lead_out() {
        let proc = File::open("/proc/sys").unwrap();
        assert!(open_beneath(proc.as_fd(), Path::new("kernel/hostname"), libc::O_RDONLY, Links::Refuse).is_ok());
        let out = open_beneath(proc.as_fd(), Path::new("../version"), libc::O_RDONLY, Links::Follow);
        assert_eq!(out.unwrap_err(), Errno::EXDEV);
        let absolute = open_beneath(proc.as_fd(), Path::new("/etc/passwd"), libc::O_RDONLY, Links::Follow);
        assert_eq!(absolute.unwrap_err(), Errno::EXDEV);
    }

    #[test]
    fn a_cloned_tree_is_detached_and_can_be_restricted() {
        let etc = File::open("/etc").unwrap();
        let tree = open_tree_clone(etc.as_fd(), Path::new(""), Depth::This).unwrap();
        restrict(tree.as_fd(), attribute::READ_ONLY | attribute::NO_SUID, Depth::This).unwrap();
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
        let made = nix::fcntl::openat(
            &tree,
            "hull-test",
            nix::fcntl::OFlag::from_bits_retain(flags),
            nix::sys::stat::Mode::from_bits_retain(0o600),
        );
        assert_eq!(made.unwrap_err(), Errno::EROFS);
    }
}
