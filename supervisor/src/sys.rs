//! Descriptors in the event loop: packets, pipes and processes awaited without a thread.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram as StdDatagram;
use std::path::PathBuf;

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixDatagram;
use tokio::net::unix::pipe;

/// Waits until a process has ended (its pidfd becomes readable).
pub(crate) async fn process_ended(process: impl AsFd) -> io::Result<()> {
    let copy = process.as_fd().try_clone_to_owned()?;
    watch(copy, Interest::READABLE)?.readable().await.map(drop)
}

/// Reads a pipe to its end, at most `limit` bytes.
pub(crate) async fn read_pipe(pipe: OwnedFd, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe::Receiver::from_owned_fd(pipe)?.take(limit).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// One end of a sequenced-packet socket pair whose other end the gateway has.
pub(crate) struct Packets(UnixDatagram);

impl Packets {
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        // tokio has no type of its own for SOCK_SEQPACKET; reading and writing whole packets is the same for both.
        let socket = StdDatagram::from(socket);
        socket.set_nonblocking(true)?;
        UnixDatagram::from_std(socket).map(Self)
    }

    /// The next packet, or `None` when the other end is closed. Longer ones than `buffer` are cut.
    pub(crate) async fn receive<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        match self.0.recv(buffer).await {
            Ok(0) | Err(_) => None,
            Ok(length) => Some(&buffer[..length]),
        }
    }
}

/// The content of anonymous memory that another process has filled and sealed.
pub(crate) fn read_memory(memory: OwnedFd, limit: u64) -> io::Result<Vec<u8>> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::from(memory);
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The path this process's program was started from, whether it is still there or has been replaced since.
pub(crate) fn own_program() -> io::Result<PathBuf> {
    Ok(without_mark(std::env::current_exe()?))
}

/// The same of the process that has started this one.
pub(crate) fn parents_program() -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/{}/exe", nix::unistd::getppid())).map(without_mark)
}

fn without_mark(path: PathBuf) -> PathBuf {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let shown = path.as_os_str().as_bytes();
    let bytes = shown.strip_suffix(b" (deleted)").unwrap_or(shown);
    std::ffi::OsString::from_vec(bytes.to_vec()).into()
}

/// Watches a descriptor for readiness. Must be called inside a tokio runtime.
pub(crate) fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd stays open and stands for the same object until it is dropped, which `AsyncFd` does itself.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}
