//! A container's console: a task moves bytes between the terminal, a ring of what was printed last, and one client.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use hull_plugin::instance::TerminalSize;
use hull_plugin::{Code, DriverError, MemoryFd, StreamFd};
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::sys::watch;

/// How much of the output is kept.
const RING: u64 = 128 * 1024;
/// In front of the ring: how many bytes were ever written, and before which of them all is cleared.
const HEADER: u64 = 16;
/// What may wait for a client that does not read, before it is dropped.
const BACKLOG: usize = 256 * 1024;

pub(crate) struct Console {
    master: OwnedFd,
    /// Held so that the terminal never reports a hang-up while no process inside has it open.
    slave: OwnedFd,
    log: Rc<Log>,
    /// `None`: another process of this driver moves the bytes, or none does yet.
    pumping: RefCell<Option<Pumping>>,
}

struct Pumping {
    clients: mpsc::Sender<AsyncFd<OwnedFd>>,
    stop: CancellationToken,
    task: JoinHandle<Session>,
}

/// What is under way between the terminal and its client.
#[derive(Default)]
pub(crate) struct Session {
    pub(crate) client: Option<OwnedFd>,
    /// Read from the terminal, not yet written to the client.
    pub(crate) output: Vec<u8>,
    /// Read from the client, not yet written to the terminal.
    pub(crate) input: Vec<u8>,
}

impl Console {
    /// Does not touch the terminal before [`Console::start`].
    pub(crate) fn new(master: OwnedFd, slave: OwnedFd, log: Log) -> Self {
        Self { master, slave, log: Rc::new(log), pumping: RefCell::default() }
    }

    /// Goes on with a session, unless it is under way here.
    pub(crate) fn start(&self, session: Session) -> Result<(), DriverError> {
        if self.pumping.borrow().is_some() {
            return Ok(());
        }
        let failed = |error: io::Error| DriverError::system(&error, "cannot use the console's terminal");
        let own = self.master.try_clone().map_err(failed)?;
        fcntl(&own, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK)).map_err(|error| failed(error.into()))?;
        let terminal = watch(own, Interest::READABLE | Interest::WRITABLE).map_err(failed)?;
        let client = session.client.map(|client| watch(client, Interest::READABLE | Interest::WRITABLE)).transpose();
        // Another process may have written since this one looked.
        self.log.refresh().map_err(failed)?;
        let (clients, new_clients) = mpsc::channel(4);
        let pump = Pump {
            terminal,
            log: Rc::clone(&self.log),
            client: client.map_err(failed)?,
            output: session.output,
            input: session.input,
        };
        let stop = CancellationToken::new();
        let task = tokio::task::spawn_local(pump.run(new_clients, stop.clone()));
        self.pumping.replace(Some(Pumping { clients, stop, task }));
        Ok(())
    }

    /// Leaves the terminal alone from now on.
    pub(crate) async fn stop(&self) -> Session {
        let Some(pumping) = self.pumping.take() else { return Session::default() };
        pumping.stop.cancel();
        pumping.task.await.unwrap_or_default() // one that has panicked has no session any more
    }

    /// A new client; the present one is sent away.
    pub(crate) async fn connect(&self) -> Result<StreamFd, DriverError> {
        let failed = |error: io::Error| DriverError::system(&error, "cannot make a socket for the console");
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let ours = watch(ours.into(), Interest::READABLE | Interest::WRITABLE).map_err(failed)?;
        let gone = |_| DriverError::new(Code::Unavailable, "the console's terminal is closed");
        let clients = self.pumping.borrow().as_ref().map(|pumping| pumping.clients.clone());
        let clients = clients.ok_or_else(|| DriverError::new(Code::Unavailable, "the console is being handed over"))?;
        clients.send(ours).await.map_err(gone)?;
        Ok(StreamFd::new(OwnedFd::from(theirs)))
    }

    pub(crate) fn log(&self) -> Result<MemoryFd, DriverError> {
        self.log.copy().map_err(|error| DriverError::system(&error, "cannot copy the console's log"))
    }

    pub(crate) fn clear(&self) -> Result<(), DriverError> {
        self.log.clear().map_err(|error| DriverError::system(&error, "cannot clear the console's log"))
    }

    pub(crate) fn resize(&self, size: TerminalSize) -> Result<(), DriverError> {
        hull_sys::terminal::resize(self.master.as_fd(), size.columns, size.rows)
            .map_err(|error| DriverError::system(&error.into(), "cannot set the console's size"))
    }

    /// Copies of master, slave and log, for Hull's store.
    pub(crate) fn descriptors(&self) -> Result<[OwnedFd; 3], DriverError> {
        use crate::table::duplicate;
        Ok([duplicate(&self.master)?, duplicate(&self.slave)?, duplicate(&self.log.memory)?])
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if let Some(pumping) = self.pumping.take() {
            pumping.task.abort();
        }
    }
}

struct Pump {
    terminal: AsyncFd<OwnedFd>,
    log: Rc<Log>,
    client: Option<AsyncFd<OwnedFd>>,
    /// For the client.
    output: Vec<u8>,
    /// For the terminal.
    input: Vec<u8>,
}

impl Pump {
    /// What is left when it is stopped, or when the terminal is gone with its container.
    async fn run(mut self, clients: mpsc::Receiver<AsyncFd<OwnedFd>>, stop: CancellationToken) -> Session {
        self.copy(clients, stop).await;
        Session { client: self.client.map(AsyncFd::into_inner), output: self.output, input: self.input }
    }

    async fn copy(&mut self, mut clients: mpsc::Receiver<AsyncFd<OwnedFd>>, stop: CancellationToken) {
        loop {
            let mut for_log = [0; 8192];
            let mut for_terminal = [0; 4096];
            let client = self.client.as_ref();
            let (sending, typing) = (!self.output.is_empty(), !self.input.is_empty());
            // Whatever has been read is in `self` when this waits again: stopping loses nothing.
            tokio::select! {
                () = stop.cancelled() => {
                    while let Ok(new) = clients.try_recv() {
                        self.client = Some(new);
                        self.output.clear();
                    }
                    return;
                }
                new = clients.recv() => match new {
                    Some(new) => { self.client = Some(new); self.output.clear(); }
                    None => return,
                },
                read = read(&self.terminal, &mut for_log) => match read {
                    Ok(length) if length > 0 => self.printed(&for_log[..length]),
                    _ => return, // the terminal is gone with its container
                },
                read = async { match client { Some(client) => read(client, &mut for_terminal).await, None => Ok(0) } },
                    if client.is_some() && !typing => match read {
                    Ok(length) if length > 0 => self.input.extend(&for_terminal[..length]),
                    _ => self.client = None,
                },
                written = async { match client { Some(client) => write(client, &self.output).await, None => Ok(0) } },
                    if client.is_some() && sending => match written {
                    Ok(length) => drop(self.output.drain(..length)),
                    Err(_) => self.client = None,
                },
                written = write(&self.terminal, &self.input), if typing => match written {
                    Ok(length) => drop(self.input.drain(..length)),
                    Err(_) => return,
                },
            }
        }
    }

    fn printed(&mut self, bytes: &[u8]) {
        if let Err(error) = self.log.append(bytes) {
            tracing::warn!(%error, "cannot keep console output");
        }
        if self.client.is_none() {
            return;
        }
        self.output.extend(bytes);
        if self.output.len() > BACKLOG {
            tracing::info!("a console client does not read; it is disconnected");
            self.client = None;
        }
    }
}

async fn read(from: &AsyncFd<OwnedFd>, buffer: &mut [u8]) -> io::Result<usize> {
    from.async_io(Interest::READABLE, |fd| Ok(nix::unistd::read(fd, buffer)?)).await
}

async fn write(to: &AsyncFd<OwnedFd>, bytes: &[u8]) -> io::Result<usize> {
    to.async_io(Interest::WRITABLE, |fd| Ok(nix::unistd::write(fd, bytes)?)).await
}

/// The ring of output, in memory that can outlive this process.
pub(crate) struct Log {
    memory: OwnedFd,
    written: Cell<u64>,
}

impl Log {
    pub(crate) fn new() -> Result<Self, DriverError> {
        let failed = |error: nix::Error| DriverError::system(&error.into(), "cannot make the console's log");
        let memory = memfd_create("console", MFdFlags::MFD_CLOEXEC).map_err(failed)?;
        Ok(Self { memory, written: Cell::new(0) })
    }

    /// Goes on with the ring of an earlier process.
    pub(crate) fn resume(memory: OwnedFd) -> io::Result<Self> {
        let log = Self { memory, written: Cell::new(0) };
        log.written.set(log.counters()?.0);
        Ok(log)
    }

    fn refresh(&self) -> io::Result<()> {
        self.written.set(self.counters()?.0);
        Ok(())
    }

    fn file(&self) -> io::Result<std::fs::File> {
        self.memory.try_clone().map(Into::into)
    }

    fn counters(&self) -> io::Result<(u64, u64)> {
        let mut header = [0; 16];
        // An empty file is a ring into which nothing was written.
        self.file()?.read_at(&mut header, 0)?;
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        Ok((number(&header[..8]), number(&header[8..])))
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let file = self.file()?;
        let mut at = self.written.get();
        let mut rest = bytes;
        while !rest.is_empty() {
            let offset = at % RING;
            let room = usize::try_from(RING - offset).unwrap_or(rest.len()).min(rest.len());
            file.write_all_at(&rest[..room], HEADER + offset)?;
            at += room as u64;
            rest = &rest[room..];
        }
        self.written.set(at);
        file.write_all_at(&at.to_le_bytes(), 0)
    }

    fn clear(&self) -> io::Result<()> {
        self.file()?.write_all_at(&self.written.get().to_le_bytes(), 8)
    }

    fn copy(&self) -> io::Result<MemoryFd> {
        let (written, cleared) = self.counters()?;
        let start = cleared.max(written.saturating_sub(RING));
        let mut text = vec![0; usize::try_from(written.saturating_sub(start)).unwrap_or(0)];
        let file = self.file()?;
        let first = usize::try_from(RING - start % RING).unwrap_or(0).min(text.len());
        file.read_exact_at(&mut text[..first], HEADER + start % RING)?;
        file.read_exact_at(&mut text[first..], HEADER)?;
        sealed(&text)
    }
}

fn sealed(bytes: &[u8]) -> io::Result<MemoryFd> {
    let memory = memfd_create("console-log", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let file = std::fs::File::from(memory);
    file.write_all_at(bytes, 0)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(MemoryFd::new(OwnedFd::from(file)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn content(log: &Log) -> Vec<u8> {
        let mut text = Vec::new();
        std::fs::File::from(log.copy().unwrap().into_owned()).read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn the_ring_keeps_the_last_bytes_and_survives_its_process() {
        let log = Log::new().unwrap();
        assert_eq!(content(&log), b"");
        let long: Vec<u8> = (0..RING + 1000).map(|number| (number % 251) as u8).collect();
        for part in long.chunks(7777) {
            log.append(part).unwrap();
        }
        assert_eq!(content(&log), long[1000..]);
        log.clear().unwrap();
        log.append(b"after").unwrap();
        let resumed = Log::resume(log.memory.try_clone().unwrap()).unwrap();
        resumed.append(b" that").unwrap();
        assert_eq!(content(&resumed), b"after that");
    }
}
