//! The one thing here that the compiler cannot check: registering descriptors with the event loop.
#![allow(unsafe_code)] // one block, with its SAFETY reason

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches a descriptor for readiness. Must be called inside a tokio runtime.
pub(crate) fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd stays open and stands for the same object until it is dropped, which `AsyncFd` does itself.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}
