//! Any descriptor as something to read from and write to without making the event loop wait.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::task::JoinHandle;

use crate::sys::{unread, watch};

/// A pipe end, socket, terminal or file.
pub(crate) struct Descriptor {
    inner: Inner,
    /// A read that fills less than the buffer has emptied the queue: true for stream sockets, not for terminals.
    short_read_empties: bool,
    /// There may be content although the last readiness was used up.
    unread: Cell<bool>,
    /// A helper thread that reads.
    reading: RefCell<Option<JoinHandle<io::Result<Vec<u8>>>>>,
}

enum Inner {
    Watched(AsyncFd<Arc<OwnedFd>>),
    /// Always ready as far as the kernel says, so a read may wait: done on a helper thread.
    Waiting(Arc<OwnedFd>),
}

impl Descriptor {
    /// Makes `fd` non-blocking (and whoever else holds the same open file).
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
        if !flags.contains(OFlag::O_NONBLOCK) {
            fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        }
        let fd = Arc::new(fd);
        let inner = match watch(fd.clone()) {
            Ok(watched) => Inner::Watched(watched),
            Err(error) if error.raw_os_error() == Some(Errno::EPERM as i32) => Inner::Waiting(fd),
            Err(error) => return Err(error),
        };
        Ok(Self { inner, short_read_empties: false, unread: Cell::new(false), reading: RefCell::default() })
    }

    /// A client's stream socket.
    pub(crate) fn client(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { short_read_empties: true, ..Self::new(fd)? })
    }

    /// For helper threads.
    pub(crate) fn shared(&self) -> Arc<OwnedFd> {
        match &self.inner {
            Inner::Watched(watched) => watched.get_ref().clone(),
            Inner::Waiting(fd) => fd.clone(),
        }
    }

    /// Returns 0 at the end. A terminal whose other side is gone has ended.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Inner::Watched(watched) = &self.inner else { return self.read_waiting(buffer).await };
        if self.unread.take() {
            match nix::unistd::read(watched.get_ref(), buffer) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                result => {
                    self.unread.set(true);
                    return ended_terminal(result);
                }
            }
        }
        loop {
            let mut guard = watched.readable().await?;
            match nix::unistd::read(watched.get_ref(), buffer) {
                Err(Errno::EAGAIN) => guard.clear_ready(),
                Err(Errno::EINTR) => {}
                Ok(length) => {
                    if self.short_read_empties && length > 0 && length < buffer.len() {
                        guard.clear_ready();
                    }
                    return Ok(length);
                }
                result => return ended_terminal(result),
            }
        }
    }

    /// Waits until a read would return something.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        if let Inner::Watched(watched) = &self.inner
            && !self.unread.get()
        {
            watched.readable().await?.retain_ready();
        }
        Ok(())
    }

    /// Like [`Self::readable`], but the kernel is asked: somebody else reads here, too, or what reads does not tell the event
    /// loop that nothing is left.
    pub(crate) async fn arrived(&self) -> io::Result<()> {
        let Inner::Watched(watched) = &self.inner else { return Ok(()) };
        if self.unread.get() && is_ready(self.as_fd(), PollFlags::POLLIN)? {
            return Ok(());
        }
        while !checked(watched.readable().await?, PollFlags::POLLIN)? {}
        Ok(())
    }

    /// Waits until a pipe holds something; how much that is. 0 at the end.
    pub(crate) async fn filled(&self) -> io::Result<usize> {
        let Inner::Watched(watched) = &self.inner else { return Err(Errno::ESPIPE.into()) };
        loop {
            let mut guard = watched.readable().await?;
            let mut length = unread(self.as_fd())?;
            if length == 0 {
                // In this order: what was written before the last writer went is seen.
                let ended = is_ready(self.as_fd(), PollFlags::POLLHUP)?;
                length = unread(self.as_fd())?;
                if length == 0 && !ended {
                    guard.clear_ready();
                    continue;
                }
            }
            return Ok(length);
        }
    }

    /// Moves the next `left` bytes of a pipe, which it held a moment ago, without copying them into this process.
    ///
    /// # Errors
    /// `UnexpectedEof`: who has written them, or somebody else with the pipe, has read them, and nobody writes others.
    pub(crate) async fn move_to(&self, target: &Descriptor, mut left: usize) -> io::Result<()> {
        let Inner::Watched(watched) = &target.inner else { return Err(Errno::ENOTSOCK.into()) };
        let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
        while left > 0 {
            let mut guard = watched.writable().await?;
            match splice(self, None, target, None, left, flags) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(moved) => left -= moved,
                // Which of the two it waits for, the target alone can say: the pipe may be filled again by now.
                Err(Errno::EAGAIN) if is_ready(target.as_fd(), PollFlags::POLLOUT)? => {
                    self.filled().await?; // it was empty: read by another
                    tokio::task::yield_now().await;
                }
                Err(Errno::EAGAIN) => guard.clear_ready(),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// One packet of a sequenced-packet socket; `None` at the end.
    pub(crate) async fn receive_packet(&self, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
        use nix::sys::socket::{MsgFlags, recv};
        use std::os::fd::AsRawFd;
        let Inner::Watched(watched) = &self.inner else { return Err(Errno::ENOTSOCK.into()) };
        let raw = watched.get_ref().as_raw_fd();
        loop {
            let mut guard = watched.readable().await?;
            match recv(raw, &mut [], MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT) {
                Ok(0) | Err(Errno::ECONNRESET) => return Ok(None),
                Ok(length) => {
                    if buffer.len() < length {
                        buffer.resize(length, 0);
                    }
                    return Ok(Some(recv(raw, buffer, MsgFlags::MSG_DONTWAIT)?));
                }
                Err(Errno::EAGAIN) => guard.clear_ready(),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(crate) async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        self.write_slices(&mut [IoSlice::new(bytes)]).await
    }

    pub(crate) async fn write_slices(&self, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        IoSlice::advance_slices(&mut slices, 0);
        let Inner::Watched(watched) = &self.inner else { return self.write_waiting(slices).await };
        while !slices.is_empty() {
            let mut guard = watched.writable().await?;
            match nix::sys::uio::writev(watched.get_ref(), slices) {
                Ok(written) => IoSlice::advance_slices(&mut slices, written),
                Err(Errno::EAGAIN) => guard.clear_ready(),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits until a write would be taken.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        if let Inner::Watched(watched) = &self.inner {
            loop {
                let mut guard = watched.writable().await?;
                if is_ready(watched.get_ref().as_fd(), PollFlags::POLLOUT)? {
                    return Ok(());
                }
                guard.clear_ready();
            }
        }
        Ok(())
    }

    pub(crate) fn is_gone(&self) -> bool {
        is_ready(self.as_fd(), PollFlags::POLLHUP).unwrap_or(true)
    }

    /// Returns once the other side is gone altogether. A client that only stopped writing is still there.
    /// Not while something else reads here: they would take each other's readiness.
    pub(crate) async fn gone(&self) {
        if let Inner::Watched(watched) = &self.inner {
            while let Ok(mut guard) = watched.readable().await {
                match is_ready(watched.get_ref().as_fd(), PollFlags::POLLHUP) {
                    Ok(false) if guard.ready().is_read_closed() => break,
                    Ok(false) => {
                        self.unread.set(true);
                        guard.clear_ready();
                    }
                    Ok(true) | Err(_) => return,
                }
            }
        }
        std::future::pending().await
    }

    /// Returns once nobody can read what is written here.
    pub(crate) async fn unwanted(&self) {
        if let Inner::Watched(watched) = &self.inner {
            while let Ok(mut guard) = watched.ready(Interest::ERROR).await {
                match is_ready(watched.get_ref().as_fd(), PollFlags::POLLERR) {
                    Ok(false) => guard.clear_ready(),
                    Ok(true) | Err(_) => return,
                }
            }
        }
        std::future::pending().await
    }

    /// Tells the other side that nothing more comes; on anything but a socket only closing does.
    pub(crate) fn finish(&self) {
        use std::os::fd::AsRawFd;
        let _ = nix::sys::socket::shutdown(self.as_fd().as_raw_fd(), nix::sys::socket::Shutdown::Write);
    }

    /// Has the other side told at once that nothing more is read; what it has sent can still be.
    pub(crate) fn refuse_more(&self) {
        use std::os::fd::AsRawFd;
        let _ = nix::sys::socket::shutdown(self.as_fd().as_raw_fd(), nix::sys::socket::Shutdown::Read);
    }

    async fn read_waiting(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (fd, length) = (self.shared(), buffer.len());
        let start = || {
            tokio::task::spawn_blocking(move || {
                let mut content = vec![0; length];
                let read = nix::unistd::read(&*fd, &mut content)?;
                content.truncate(read);
                Ok(content)
            })
        };
        // A caller that stops waiting loses nothing: the next call gets what this one read.
        let mut start = Some(start);
        let content = std::future::poll_fn(|cx| {
            let mut slot = self.reading.borrow_mut();
            if let Some(start) = start.take()
                && slot.is_none()
            {
                *slot = Some(start());
            }
            slot.as_mut().map_or(Poll::Pending, |reading| Pin::new(reading).poll(cx))
        })
        .await;
        self.reading.take();
        let mut content: Vec<u8> = content.map_err(io::Error::other)??;
        content.truncate(buffer.len());
        buffer[..content.len()].copy_from_slice(&content);
        Ok(content.len())
    }

    async fn write_waiting(&self, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let (fd, content) = (self.shared(), slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>());
        helper(move || write_file(fd.as_fd(), &content)).await
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.inner {
            Inner::Watched(watched) => watched.get_ref().as_fd(),
            Inner::Waiting(fd) => fd.as_fd(),
        }
    }
}

/// Runs what may wait on a helper thread.
pub(crate) async fn helper<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Writes everything to a file, waiting as long as it takes.
pub(crate) fn write_file(fd: BorrowedFd, mut content: &[u8]) -> io::Result<()> {
    while !content.is_empty() {
        match nix::unistd::write(fd, content) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => content = &content[written..],
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether any of `flags` holds now.
pub(crate) fn is_ready(fd: BorrowedFd, flags: PollFlags) -> io::Result<bool> {
    wait_ready(fd, flags, PollTimeout::ZERO)
}

pub(crate) fn wait_ready(fd: BorrowedFd, flags: PollFlags, patience: PollTimeout) -> io::Result<bool> {
    let mut list = [PollFd::new(fd, flags)];
    match poll(&mut list, patience) {
        // Trouble counts as ready for those who want to read or write: the next call reports it.
        Ok(_) => Ok(list[0].revents().is_some_and(|found| {
            let trouble = PollFlags::POLLERR | PollFlags::POLLHUP;
            let wanted = if flags.intersects(trouble) { flags } else { flags | trouble };
            found.intersects(wanted)
        })),
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn checked(mut guard: AsyncFdReadyGuard<'_, Arc<OwnedFd>>, flags: PollFlags) -> io::Result<bool> {
    let ready = is_ready(guard.get_inner().as_fd(), flags)?;
    if ready {
        guard.retain_ready();
    } else {
        guard.clear_ready();
    }
    Ok(ready)
}

fn ended_terminal(result: nix::Result<usize>) -> io::Result<usize> {
    match result {
        Err(Errno::EIO) => Ok(0),
        other => Ok(other?),
    }
}
