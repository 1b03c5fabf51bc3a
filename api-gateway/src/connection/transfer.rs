//! Content that never enters this process: file to client, client to pipe, pipe to file.
//!
//! Reading and writing files may wait for a disk, or for ever on a tenant's FUSE file, so it happens on helper threads.
//! A helper keeps moving while both sides keep up and leaves a slow side to the event loop.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::poll::PollFlags;

use crate::descriptor::{Descriptor, helper, wait_ready, write_file};

/// How long a helper waits for the client before it leaves waiting to the event loop, in milliseconds.
const PATIENCE: u16 = 20;
/// How long a helper stays with one connection: they are few, and others wait for one.
const TURN: Duration = Duration::from_millis(50);
/// What is copied at once: stays in a processor's cache.
const AT_A_TIME: usize = 128 * 1024;
/// The size asked for pipes that bodies go through; the kernel may give less.
const PIPE_SIZE: i32 = 1024 * 1024;
const MOST_AT_ONCE: usize = 1024 * 1024;

/// A pipe for a body: the reading end, and the writing end for this process alone.
pub(crate) fn pipe() -> io::Result<(OwnedFd, Descriptor)> {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    // Past the user's share of pipe memory the kernel refuses: slower, not wrong.
    let _ = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
    Ok((reader, Descriptor::new(writer)?))
}

/// Sends `length` bytes of `file` from `start`.
///
/// # Errors
/// `UnexpectedEof`: the file is shorter than that.
pub(crate) async fn send_file(socket: &Descriptor, file: OwnedFd, start: u64, length: u64) -> io::Result<()> {
    let end = start.checked_add(length).ok_or(io::ErrorKind::InvalidInput)?;
    let (file, target) = (Arc::new(file), socket.shared());
    let mut position = start;
    while position < end {
        socket.writable().await?;
        let (file, target) = (file.clone(), target.clone());
        position = helper(move || send_while_taken(&file, &target, position, end)).await?;
    }
    Ok(())
}

fn send_while_taken(file: &OwnedFd, target: &OwnedFd, mut position: u64, end: u64) -> io::Result<u64> {
    use nix::sys::sendfile::sendfile;
    let begun = Instant::now();
    while position < end && begun.elapsed() < TURN {
        let mut offset = i64::try_from(position).map_err(io::Error::other)?;
        let count = usize::try_from(end - position).unwrap_or(usize::MAX).min(MOST_AT_ONCE);
        match sendfile(target, file, Some(&mut offset), count) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(sent) => position += sent as u64,
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                if !wait_ready(target.as_fd(), PollFlags::POLLOUT, PATIENCE.into())? {
                    return Ok(position);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(position)
}

/// Moves what the client has sent, at most `most` bytes, into a pipe; 0: the client has ended.
pub(crate) async fn receive_into_pipe(socket: &Descriptor, pipe: &Descriptor, most: u64) -> io::Result<usize> {
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(MOST_AT_ONCE);
    let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
    loop {
        pipe.writable().await?;
        match splice(socket, None, pipe, None, most, flags) {
            Ok(moved) => return Ok(moved),
            Err(Errno::EINTR) => {}
            // Ready a moment ago and not now: somebody else emptied or filled it. Let others run, then look again.
            Err(Errno::EAGAIN) => tokio::task::yield_now().await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes everything that comes out of a pipe into a file.
pub(crate) async fn store_pipe(pipe: OwnedFd, file: OwnedFd) -> io::Result<()> {
    let (pipe, file) = (Arc::new(pipe), Arc::new(file));
    let watched = Watched::new(pipe.clone())?;
    loop {
        watched.readable().await?;
        let (pipe, file) = (pipe.clone(), file.clone());
        if helper(move || store_while_coming(&pipe, &file)).await? == Supply::Ended {
            return Ok(());
        }
    }
}

/// Writes a small body into a file.
pub(crate) async fn store_bytes(content: Vec<u8>, file: Arc<OwnedFd>) -> io::Result<()> {
    if content.is_empty() {
        return Ok(());
    }
    helper(move || write_file(file.as_fd(), &content)).await
}

/// What came of the client.
pub(crate) enum Arriving {
    /// So many bytes are in the file.
    Stored(usize),
    /// It sends nothing more.
    Ended,
    /// The file does not take it.
    Unstored(io::Error),
}

/// Writes what the client sends into a file, at most `most` bytes. Two copies in one thread are quicker than two threads with
/// a pipe between them that copy once: writing to files is what takes long.
pub(crate) async fn store_arriving(socket: &Descriptor, file: Arc<OwnedFd>, most: u64) -> io::Result<Arriving> {
    let socket = socket.shared();
    helper(move || store_while_arriving(&socket, &file, most)).await
}

fn store_while_arriving(socket: &OwnedFd, file: &OwnedFd, most: u64) -> io::Result<Arriving> {
    let (mut buffer, begun) = (vec![0; AT_A_TIME], Instant::now());
    let (most, mut stored) = (usize::try_from(most).unwrap_or(usize::MAX), 0);
    while stored < most && begun.elapsed() < TURN {
        let length = buffer.len().min(most - stored);
        match nix::unistd::read(socket, &mut buffer[..length]) {
            Ok(0) if stored == 0 => return Ok(Arriving::Ended),
            Ok(0) => break,
            Ok(length) => {
                if let Err(error) = write_file(file.as_fd(), &buffer[..length]) {
                    return Ok(Arriving::Unstored(error));
                }
                stored += length;
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                if !wait_ready(socket.as_fd(), PollFlags::POLLIN, PATIENCE.into())? {
                    break;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Arriving::Stored(stored))
}

#[derive(PartialEq, Eq)]
enum Supply {
    Paused,
    Ended,
}

fn store_while_coming(pipe: &OwnedFd, file: &OwnedFd) -> io::Result<Supply> {
    let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
    let begun = Instant::now();
    while begun.elapsed() < TURN {
        match splice(pipe, None, file, None, MOST_AT_ONCE, flags) {
            Ok(0) => return Ok(Supply::Ended),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                if !wait_ready(pipe.as_fd(), PollFlags::POLLIN, PATIENCE.into())? {
                    return Ok(Supply::Paused);
                }
            }
            // Files opened for appending, and some file systems, take no splice.
            Err(Errno::EINVAL) => return copy_while_coming(pipe, file),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Supply::Paused)
}

fn copy_while_coming(pipe: &OwnedFd, file: &OwnedFd) -> io::Result<Supply> {
    let mut buffer = vec![0; 64 * 1024];
    let begun = Instant::now();
    while begun.elapsed() < TURN && wait_ready(pipe.as_fd(), PollFlags::POLLIN, PATIENCE.into())? {
        match nix::unistd::read(pipe, &mut buffer) {
            Ok(0) => return Ok(Supply::Ended),
            Ok(length) => write_file(file.as_fd(), &buffer[..length])?,
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Supply::Paused)
}

/// The reading end of a body's pipe: watched, but not made non-blocking, because hulld holds the same open file.
struct Watched(tokio::io::unix::AsyncFd<Arc<OwnedFd>>);

impl Watched {
    fn new(pipe: Arc<OwnedFd>) -> io::Result<Self> {
        crate::sys::watch(pipe).map(Self)
    }

    async fn readable(&self) -> io::Result<()> {
        loop {
            let mut guard = self.0.readable().await?;
            if crate::descriptor::is_ready(self.0.get_ref().as_fd(), PollFlags::POLLIN)? {
                return Ok(());
            }
            guard.clear_ready();
        }
    }
}
