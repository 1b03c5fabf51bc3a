//! The supervisor's end of the connection to the keeper.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use hull_sys::{message as packets, process};
use nix::errno::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{broadcast, mpsc, watch};

use super::message::{Kind, Message, receive};
use super::run::{FELL_BACK, FELL_BACK_LATE, INSTANCES_TOO};

/// The keeper does next to nothing: an answer that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many questions wait for the keeper's answers at a time.
const AT_ONCE: usize = 64;
/// Between a process's end and the moment its parent has reaped it.
const REAPED_WITHIN: Duration = Duration::from_secs(2);

/// A child of the keeper has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exited {
    pub pid: i32,
    /// In clock ticks since boot; with the pid it names the process.
    pub started: u64,
    /// As of `man 2 wait`.
    pub status: i32,
}

/// How hulld is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Instances keep running.
    DaemonOnly,
    /// Instances are stopped first.
    WithInstances,
}

/// How it went when a supervisor left for its successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    TookOver,
    /// The program before it was started again.
    FellBack {
        why: String,
        /// Whether the successor has answered anybody.
        was_ready: bool,
    },
}

/// The store and the memory of the dead. Cheap to clone.
#[derive(Clone)]
pub struct KeeperClient(Arc<Connection>);

struct Connection {
    socket: Arc<AsyncFd<OwnedFd>>,
    tags: AtomicU32,
    waiting: Waiting,
    exits: broadcast::Sender<Exited>,
    shutdown: watch::Receiver<Option<Shutdown>>,
    reader: tokio::task::JoinHandle<()>,
}

type Answer = (Message, Vec<OwnedFd>);
type Waiting = Arc<Mutex<HashMap<u32, mpsc::UnboundedSender<Answer>>>>;

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl KeeperClient {
    /// Over the socket the keeper left. Must be called inside a tokio runtime.
    pub fn connect(socket: OwnedFd) -> io::Result<Self> {
        nix::fcntl::fcntl(&socket, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
        let socket = Arc::new(crate::sys::watch(socket, Interest::READABLE | Interest::WRITABLE)?);
        let (exits, waiting) = (broadcast::channel(1024).0, Waiting::default());
        let (ask, shutdown) = watch::channel(None);
        let reader = tokio::spawn(read(socket.clone(), waiting.clone(), exits.clone(), ask));
        Ok(Self(Arc::new(Connection { socket, tags: AtomicU32::new(1), waiting, exits, shutdown, reader })))
    }

    /// Keeps a copy of `fd` under `key`; what was there is replaced.
    pub async fn store(&self, key: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.store_all(key, &[fd]).await
    }

    /// Keeps copies of at most 16 descriptors under one key; what was there is replaced.
    pub async fn store_all(&self, key: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let copies = descriptors.iter().map(BorrowedFd::try_clone_to_owned).collect::<io::Result<_>>()?;
        self.ask(Message { key: key.into(), ..self.question(Kind::Store) }, copies).await.map(drop)
    }

    /// What is kept under `key`.
    pub async fn fetch(&self, key: &str) -> io::Result<Option<OwnedFd>> {
        Ok(self.fetch_all(key).await?.into_iter().next())
    }

    /// Everything that is kept under `key`, in its order.
    pub async fn fetch_all(&self, key: &str) -> io::Result<Vec<OwnedFd>> {
        let answer = self.ask(Message { key: key.into(), ..self.question(Kind::Fetch) }, Vec::new()).await?;
        Ok(answer.map(|(_, descriptors)| descriptors).unwrap_or_default())
    }

    /// Everything that is kept under keys that begin with `prefix`, asked for at once: one question's way to the keeper and
    /// back takes long while all processors are busy. What cannot be had is left out, and the log says so.
    pub async fn fetch_below(&self, prefix: &str) -> io::Result<Vec<(String, Vec<OwnedFd>)>> {
        let fetched = self.list(prefix).await?.into_iter().map(|key| async move {
            let descriptors = self.fetch_all(&key).await.unwrap_or_else(|error| {
                tracing::warn!(key, %error, "the keeper does not give back what it keeps");
                Vec::new()
            });
            (key, descriptors)
        });
        let mut all: Vec<_> = futures::stream::iter(fetched).buffered(AT_ONCE).collect().await;
        all.retain(|(_, descriptors)| !descriptors.is_empty());
        Ok(all)
    }

    /// Names the program that is started when this supervisor leaves with [`LEAVES`](super::LEAVES).
    pub async fn name_next(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        let copy = program.try_clone_to_owned()?;
        self.ask(self.question(Kind::Next), vec![copy]).await.map(drop)
    }

    /// How the last succession went, if there was one.
    pub async fn verdict(&self) -> io::Result<Option<Verdict>> {
        let answer = self.ask(self.question(Kind::Verdict), Vec::new()).await?;
        Ok(answer.map(|(message, _)| match message.number {
            FELL_BACK | FELL_BACK_LATE => Verdict::FellBack {
                why: String::from_utf8_lossy(&message.key).into_owned(),
                was_ready: message.number == FELL_BACK_LATE,
            },
            _ => Verdict::TookOver,
        }))
    }

    pub async fn discard(&self, key: &str) -> io::Result<()> {
        self.ask(Message { key: key.into(), ..self.question(Kind::Discard) }, Vec::new()).await.map(drop)
    }

    /// All keys that begin with `prefix`.
    pub async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        let question = Message { key: prefix.into(), ..self.question(Kind::List) };
        let (tag, mut answers) = (question.tag, self.send(question, Vec::new()).await?);
        let _guard = Guard { waiting: &self.0.waiting, tag };
        let mut keys = Vec::new();
        loop {
            let answer = tokio::time::timeout(PATIENCE, answers.recv()).await.map_err(|_| silent())?;
            let (message, _) = answer.ok_or_else(lost)?;
            if message.key.is_empty() {
                return Ok(keys);
            }
            let listed = message.key.split(|byte| *byte == 0).filter(|key| !key.is_empty());
            keys.extend(listed.map(|key| String::from_utf8_lossy(key).into_owned()));
        }
    }

    /// How a process that the keeper reaped ended; `started` 0 if unknown.
    pub async fn exit_status(&self, pid: i32, started: u64) -> io::Result<Option<i32>> {
        let answer = self.ask(Message { pid, started, ..self.question(Kind::Status) }, Vec::new()).await?;
        Ok(answer.map(|(message, _)| message.number))
    }

    /// Every child of the keeper that ends from now on.
    pub fn exits(&self) -> broadcast::Receiver<Exited> {
        self.0.exits.subscribe()
    }

    /// Becomes `Some` when hulld is asked to end.
    pub fn shutdown(&self) -> watch::Receiver<Option<Shutdown>> {
        self.0.shutdown.clone()
    }

    /// The API answers now.
    pub async fn ready(&self) -> io::Result<()> {
        let message = Message::new(Kind::Ready, 0);
        self.transmit(&message, Vec::new()).await
    }

    /// Waits for the end of any process and returns its wait status, if anybody knows it.
    pub async fn wait(&self, process: &OwnedFd) -> io::Result<Option<i32>> {
        let pid = process::pid_of(process);
        let started = pid.and_then(process::start_time).unwrap_or(0);
        ended(process).await?;
        if let Ok(status) = process::wait_child(process.as_fd()) {
            return Ok(status);
        }
        let deadline = tokio::time::Instant::now() + REAPED_WITHIN;
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = process::exit_status(process) {
                return Ok(Some(status));
            }
            if let Some(pid) = pid
                && let Some(status) = self.exit_status(pid, started).await?
            {
                return Ok(Some(status));
            }
            if tokio::time::Instant::now() >= deadline {
                return Ok(None);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    fn question(&self, kind: Kind) -> Message {
        Message::new(kind, self.0.tags.fetch_add(1, Ordering::Relaxed).max(1))
    }

    /// `None`: there is no such thing.
    async fn ask(&self, question: Message, descriptors: Vec<OwnedFd>) -> io::Result<Option<Answer>> {
        let tag = question.tag;
        let mut answers = self.send(question, descriptors).await?;
        let _guard = Guard { waiting: &self.0.waiting, tag };
        let answer = tokio::time::timeout(PATIENCE, answers.recv()).await.map_err(|_| silent())?;
        let (message, descriptors) = answer.ok_or_else(lost)?;
        match message.kind {
            Kind::Missing => Ok(None),
            Kind::Failed => Err(io::Error::from_raw_os_error(message.number)),
            _ => Ok(Some((message, descriptors))),
        }
    }

    async fn send(&self, question: Message, descriptors: Vec<OwnedFd>) -> io::Result<mpsc::UnboundedReceiver<Answer>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(question.tag, sender);
        if let Err(error) = self.transmit(&question, descriptors).await {
            self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&question.tag);
            return Err(error);
        }
        Ok(receiver)
    }

    async fn transmit(&self, message: &Message, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let bytes = message.encode();
        let send = |socket: &OwnedFd| Ok(packets::send(socket.as_fd(), &bytes, &descriptors)?);
        self.0.socket.async_io(Interest::WRITABLE, send).await
    }
}

/// Resolves when the process has ended, reaped or not.
pub(crate) async fn ended(process: &OwnedFd) -> io::Result<()> {
    let watched = crate::sys::watch(process.try_clone()?, Interest::READABLE)?;
    watched.readable().await.map(drop)
}

/// Forgets a question when its asker has gone or has the answer.
struct Guard<'a> {
    waiting: &'a Waiting,
    tag: u32,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.tag);
    }
}

async fn read(
    socket: Arc<AsyncFd<OwnedFd>>,
    waiting: Waiting,
    exits: broadcast::Sender<Exited>,
    shutdown: watch::Sender<Option<Shutdown>>,
) {
    loop {
        let received = socket.async_io(Interest::READABLE, |socket| Ok(receive(socket.as_fd())?)).await;
        let (message, descriptors) = match received {
            Ok(Some(received)) => received,
            Err(error) if error.raw_os_error() == Some(Errno::EBADMSG as i32) => continue,
            Ok(None) | Err(_) => break,
        };
        match message.kind {
            Kind::Exited => {
                // Nobody listening now is fine: whoever wants to know later asks.
                let _ = exits.send(Exited { pid: message.pid, started: message.started, status: message.number });
            }
            Kind::Terminate => {
                let with_instances = message.number == INSTANCES_TOO;
                let wish = if with_instances { Shutdown::WithInstances } else { Shutdown::DaemonOnly };
                shutdown.send_replace(Some(wish));
            }
            _ => {
                let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(asker) = waiting.get(&message.tag) {
                    let _ = asker.send((message, descriptors)); // an asker that has gone needs no answer
                }
            }
        }
    }
    // Without its keeper hulld can neither restart nor remember: it ends, and whoever starts it again finds everything.
    tracing::warn!("the keeper is gone");
    waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    shutdown.send_replace(Some(Shutdown::DaemonOnly));
}

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the keeper does not answer")
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the keeper is gone")
}
