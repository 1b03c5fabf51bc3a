//! A descriptor for a child, which the standard library does not give.
#![allow(unsafe_code)] // each block states its SAFETY reason

use std::os::fd::{FromRawFd, OwnedFd};

pub(super) fn pidfd(pid: u32) -> OwnedFd {
    // SAFETY: the call takes two integers and returns a new descriptor or -1.
    let fd = unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_open, pid, 0) };
    assert!(fd >= 0);
    // SAFETY: the kernel has just made it for us.
    unsafe { OwnedFd::from_raw_fd(fd.try_into().unwrap()) }
}
