//! The one promise to tokio that the compiler cannot check.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::unix::AsyncFd;

/// Watches a descriptor.
///
/// # Errors
/// `EPERM`: it is of a kind that is always ready (a regular file).
pub(crate) fn watch(fd: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: the `Arc` keeps the descriptor open, and the same, for as long as the `AsyncFd` lives.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)
}
