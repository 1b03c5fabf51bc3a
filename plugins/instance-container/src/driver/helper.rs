//! The helper process and the sockets to its children.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hull_plugin::{Code, DriverError};
use instance_container::order::{self, Failure, FailureKind, Order, Report};
use serde::Serialize;
use tokio::io::unix::AsyncFd;

use crate::sys::watch;

/// How long a child may take for one step. Mounts of dead file systems are what it can hang on.
const PATIENCE: Duration = Duration::from_secs(30);

/// `hull-init`, beside this program. Opened once: an upgrade that replaces the file does not mix versions.
fn program() -> io::Result<OwnedFd> {
    let own = std::fs::read_link("/proc/self/exe")?;
    Ok(File::open(own.with_file_name("hull-init"))?.into())
}

/// Where the helper comes from.
pub(crate) enum Source {
    /// Hull has started it and left the socket: this process has a filter that the helper must not inherit.
    Given(OwnedFd),
    /// Nobody has, as in tests: `hull-init` is started from here.
    Own(OwnedFd),
}

impl Source {
    pub(crate) fn find() -> io::Result<Self> {
        match hull_sys::message::inherited(hull_plugin::HELPER_FD) {
            Ok(socket) => Ok(Self::Given(socket)),
            Err(_) => program().map(Self::Own),
        }
    }
}

/// The waiting helper.
pub(crate) struct Helper {
    source: Source,
    running: RefCell<Option<(Child, OwnedFd)>>,
}

impl Helper {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, running: RefCell::new(None) }
    }

    /// Has a child work on `order`; its reports come on the channel.
    pub(crate) fn order(&self, order: &Order, descriptors: Vec<OwnedFd>) -> Result<Channel, DriverError> {
        let bytes = order::encode(order).map_err(|error| broken(&error))?;
        let (ours, theirs) = hull_sys::message::packet_pair().map_err(|error| broken(&error.into()))?;
        let mut all = vec![theirs];
        all.extend(descriptors);
        if let Err(error) = self.send(&bytes, &all) {
            tracing::warn!(%error, "hull-init is gone; starting another");
            self.stop();
            self.send(&bytes, &all).map_err(|error| broken(&error))?;
        }
        Channel::new(ours)
    }

    fn send(&self, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<()> {
        let program = match &self.source {
            Source::Given(socket) => {
                return hull_sys::message::send(socket.as_fd(), bytes, descriptors).map_err(lost_for_ever);
            }
            Source::Own(program) => program,
        };
        let mut running = self.running.borrow_mut();
        let (_, socket) = match &mut *running {
            Some(running) => running,
            none => none.insert(start(program)?),
        };
        Ok(hull_sys::message::send(socket.as_fd(), bytes, descriptors)?)
    }

    fn stop(&self) {
        if let Some((mut child, socket)) = self.running.take() {
            drop(socket);
            let _ = child.kill(); // it has ended already, or it must
            let _ = child.wait();
        }
    }
}

fn start(program: &OwnedFd) -> io::Result<(Child, OwnedFd)> {
    // Blocking at our end too: it takes orders faster than anybody can give them.
    let (ours, theirs) = hull_sys::message::blocking_packet_pair()?;
    let child = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()))
        .env_clear()
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .spawn()?;
    Ok((child, ours))
}

/// A helper that Hull started cannot be started again from here. Hull does that, with this process; the containers run on.
fn lost_for_ever(error: nix::errno::Errno) -> io::Error {
    if matches!(error, nix::errno::Errno::EPIPE | nix::errno::Errno::ECONNRESET) {
        tracing::error!("hull-init is gone; ending, so that Hull starts both again");
        std::process::exit(70); // EX_SOFTWARE
    }
    error.into()
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The socket to one child.
pub(crate) struct Channel(AsyncFd<OwnedFd>);

impl Channel {
    pub(crate) fn descriptor(&self) -> Result<OwnedFd, DriverError> {
        self.0.get_ref().try_clone().map_err(|error| broken(&error))
    }

    pub(crate) fn new(socket: OwnedFd) -> Result<Self, DriverError> {
        watch(socket, tokio::io::Interest::READABLE | tokio::io::Interest::WRITABLE)
            .map(Self)
            .map_err(|error| broken(&error))
    }

    pub(crate) async fn send<T: Serialize>(&self, value: &T, descriptors: &[OwnedFd]) -> Result<(), DriverError> {
        let bytes = order::encode(value).map_err(|error| broken(&error))?;
        let sent = self.0.async_io(tokio::io::Interest::WRITABLE, |socket| {
            Ok(hull_sys::message::send(socket.as_fd(), &bytes, descriptors)?)
        });
        tokio::time::timeout(PATIENCE, sent).await.map_err(|_| late())?.map_err(|error| broken(&error))
    }

    /// The next report; `None`: the child has become its program, or ended.
    pub(crate) async fn receive(&self) -> Result<Option<(Report, Vec<OwnedFd>)>, DriverError> {
        let received = self.0.async_io(tokio::io::Interest::READABLE, |socket| order::receive(socket.as_fd()));
        match tokio::time::timeout(PATIENCE, received).await.map_err(|_| late())? {
            // A child that ends with unread orders resets its socket.
            Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => Ok(None),
            result => result.map_err(|error| broken(&error)),
        }
    }

    /// The one report of a child that only answers.
    pub(crate) async fn answer(&self, what: &str) -> Result<(Report, Vec<OwnedFd>), DriverError> {
        match self.receive().await? {
            Some((Report::Failed(failure), _)) => Err(explain(&failure)),
            Some(answer) => Ok(answer),
            None => Err(DriverError::new(Code::Internal, format!("hull-init ended without an answer: {what}"))),
        }
    }
}

/// A child's failure in the contract's words.
pub(crate) fn explain(failure: &Failure) -> DriverError {
    let message = failure.to_string();
    let error = match failure.errno {
        0 => DriverError::new(Code::InvalidConfig, message),
        errno => DriverError::system(&io::Error::from_raw_os_error(errno), message),
    };
    let coded = |code, key: &str| DriverError { code, key: Some(key.into()), ..error.clone() };
    match failure.kind {
        FailureKind::NoProgram => coded(Code::NotFound, "command"),
        FailureKind::NotExecutable => coded(Code::Permission, "command"),
        FailureKind::Cgroup => error.hint(
            "the instance's cgroups must belong to its root user, and on cgroup v2 `cgroup.procs` of the group above the \
             driver and the instances to the driver's user",
        ),
        FailureKind::Other => error,
    }
}

fn broken(error: &io::Error) -> DriverError {
    DriverError::system(error, "cannot talk to hull-init")
}

fn late() -> DriverError {
    DriverError::new(Code::DeadlineExceeded, format!("hull-init did not answer within {} seconds", PATIENCE.as_secs()))
}
