//! New file system instances as detached mounts (`fsopen`), and moving the root directory.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

const FSOPEN_CLOEXEC: libc::c_uint = 1; // linux/mount.h
const FSMOUNT_CLOEXEC: libc::c_uint = 1; // linux/mount.h
const FSCONFIG_SET_FLAG: libc::c_uint = 0; // linux/mount.h
const FSCONFIG_SET_STRING: libc::c_uint = 1; // linux/mount.h
const FSCONFIG_CMD_CREATE: libc::c_uint = 6; // linux/mount.h

/// A new instance of the file system `kind` as a detached mount; `attributes` as in [`crate::mount::attribute`].
///
/// An option with an empty value is a flag.
///
/// # Errors
/// `EPERM`: not allowed in this user namespace (for `proc` and `sysfs`: none is fully visible here).
pub fn create(kind: &CStr, options: &[(&str, &str)], attributes: u64) -> nix::Result<OwnedFd> {
    // SAFETY: `kind` is a C string that lives through the call.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })?;
    for (key, value) in options {
        configure(&context, key, value)?;
    }
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: FSCONFIG_CMD_CREATE takes neither key nor value.
    let result = unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), FSCONFIG_CMD_CREATE, none, none, 0) };
    Errno::result(result)?;
    let attributes = libc::c_uint::try_from(attributes).map_err(|_| Errno::EINVAL)?;
    // SAFETY: plain numbers.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })
}

/// Makes the directory `root` (the root of a mount attached in this mount namespace) the root of everything in it, and
/// drops the old root. The working directory is the new root afterwards.
pub fn pivot(root: BorrowedFd) -> nix::Result<()> {
    nix::unistd::fchdir(root)?;
    nix::unistd::pivot_root(".", ".")?;
    // The old root now lies on top of the new one at the same place.
    nix::mount::umount2(".", nix::mount::MntFlags::MNT_DETACH)?;
    nix::unistd::chdir("/")
}

fn configure(context: &OwnedFd, key: &str, value: &str) -> nix::Result<()> {
    let key = CString::new(key).map_err(|_| Errno::EINVAL)?;
    let text = CString::new(value).map_err(|_| Errno::EINVAL)?;
    let (command, value) =
        if value.is_empty() { (FSCONFIG_SET_FLAG, std::ptr::null()) } else { (FSCONFIG_SET_STRING, text.as_ptr()) };
    // SAFETY: both are C strings that live through the call; a flag has a null value.
    let result = unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key.as_ptr(), value, 0) };
    Errno::result(result).map(drop)
}

fn owned(result: libc::c_long) -> nix::Result<OwnedFd> {
    let fd = RawFd::try_from(Errno::result(result)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just installed this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
