//! What the compiler cannot check: a promise to tokio, and a request to the kernel that nix does not know.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::libc;
use tokio::io::unix::AsyncFd;

/// Watches a descriptor.
///
/// # Errors
/// `EPERM`: it is of a kind that is always ready (a regular file).
pub(crate) fn watch(fd: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: the `Arc` keeps the descriptor open, and the same, for as long as the `AsyncFd` lives.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)
}

/// How many bytes a pipe holds.
pub(crate) fn unread(pipe: BorrowedFd) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, to a place that lives until the call has returned.
    nix::errno::Errno::result(unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut count) })?;
    usize::try_from(count).map_err(io::Error::other)
}
