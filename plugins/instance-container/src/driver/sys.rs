//! Watching descriptors on the event loop.
#![allow(unsafe_code)] // tokio asks for a promise about the descriptor

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub(crate) fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd stays open and stands for the same file until it is dropped, which `AsyncFd` does itself.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}
