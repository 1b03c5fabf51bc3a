//! Orders from the driver to `hull-init` and its reports: one bincode message a packet, descriptors beside it.
//!
//! ```text
//!  driver ── Order + reply socket ──▶ hull-init (one, waiting) ── forks ─▶ a child for this order ── Report ─▶ driver
//!                                                               a cell also takes ── CellOrder ──▶
//! ```
//! The end of a reply socket without a [`Report::Failed`] before it is success: whoever became the ordered program has
//! closed it by executing.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest message. The kernel's default socket buffer takes packets of this size.
pub const MAX_MESSAGE: usize = 128 * 1024;

/// Bounds on resources of processes: the kernel's number, soft, hard.
pub type ResourceLimit = (u32, u64, u64);

/// The first message to the waiting helper. Its first descriptor is the socket for reports.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Make user and network namespaces and wait in them for [`CellOrder`]s.
    Cell,
    /// Run a command. Descriptors: init (pidfd), then, without a terminal, stdin, stdout, stderr; then the pipe for the status.
    Exec(Box<Exec>),
    /// Work on a file. Descriptors: as [`Place`] says.
    File { place: Place, path: String, work: FileWork },
    /// Mount in a running container. Descriptors: init (pidfd), the mount.
    Mount(MountPoint),
    /// Unmount in a running container. Descriptor: init (pidfd).
    Unmount { path: String },
    /// Lock a mount's attributes for a cell's container. Descriptors: user namespace, the mount.
    Lock(Access),
}

/// Whose files.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Place {
    /// A running container's. Descriptor: init (pidfd).
    Running,
    /// Those below a directory, as seen in a user namespace. Descriptors: user namespace, directory.
    Stopped,
}

/// To a cell, on its own socket.
#[derive(Debug, Serialize, Deserialize)]
pub enum CellOrder {
    /// Join these cgroups: directories of v1 hierarchies, and of the unified one.
    Join { legacy: Vec<String>, unified: Option<String> },
    /// Mount this inside before init runs. Descriptor: the mount, locked.
    Mount(MountPoint),
    /// Run init. Descriptor: the root file system, locked.
    Start(Box<Start>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MountPoint {
    pub path: String,
    pub read_only: bool,
}

impl MountPoint {
    pub fn access(&self) -> Access {
        if self.read_only { Access::ReadOnly } else { Access::ReadWrite }
    }
}

/// What the container may do with the files of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    ReadWrite,
    ReadOnly,
}

/// How processes of a container are confined, whoever starts them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Confinement {
    /// A compiled seccomp program.
    pub filter: Vec<u8>,
    /// Numbers of capabilities that nobody inside may have.
    pub dropped_capabilities: Vec<u32>,
    pub limits: Vec<ResourceLimit>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    pub hostname: String,
    pub init: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// Paths below `/proc/sys` and what to write there.
    pub sysctl: Vec<(String, String)>,
    /// What `/proc/sys/kernel/random/boot_id` says inside.
    pub boot_id: String,
    /// Let unprivileged mounts of `proc` and `sysfs` work inside.
    pub nesting: bool,
    pub confinement: Confinement,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Exec {
    pub command: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub user: u32,
    pub group: u32,
    pub directory: String,
    /// Columns and rows: make a terminal.
    pub terminal: Option<(u16, u16)>,
    pub legacy_cgroups: Vec<String>,
    pub unified_cgroup: Option<String>,
    pub confinement: Confinement,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum FileWork {
    Read,
    Delete,
    /// `None`: keep, or the default.
    Write {
        kind: WriteKind,
        user: Option<u32>,
        group: Option<u32>,
        mode: Option<u32>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub enum WriteKind {
    Truncate,
    Append,
    Directory,
    Link(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// A cell's namespaces exist. Descriptors: user namespace, network namespace.
    Unshared {
        pid: i32,
    },
    /// The process runs, or is about to. Descriptor: the process.
    Started {
        pid: i32,
    },
    /// What init is, links resolved. Descriptors: its console's master and slave.
    Console {
        init: String,
    },
    /// Descriptor: the terminal's master.
    Terminal,
    /// What `Read` found. Descriptor: the file, or sealed memory with a directory's names.
    File {
        user: u32,
        group: u32,
        mode: u32,
        found: Found,
    },
    /// The file to write to. Descriptor: the file.
    Writable,
    Done,
    Failed(Failure),
    /// Descriptor: the mount.
    Locked,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Found {
    File { size: u64 },
    Link(String),
    Directory,
}

/// What did not work.
#[derive(Clone, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("cannot {what}")]
pub struct Failure {
    pub kind: FailureKind,
    /// What was tried: "cannot ..." stands before it.
    pub what: String,
    /// The kernel's error number; 0: none.
    pub errno: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// The program to run does not exist.
    NoProgram,
    /// The program to run cannot be executed.
    NotExecutable,
    Cgroup,
    Other,
}

/// # Errors
/// The value does not fit [`MAX_MESSAGE`].
pub fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let bytes = bincode::serde::encode_to_vec(value, bincode::config::standard()).map_err(io::Error::other)?;
    if bytes.len() > MAX_MESSAGE {
        return Err(io::Error::other(format!("{} bytes of configuration are more than {MAX_MESSAGE}", bytes.len())));
    }
    Ok(bytes)
}

/// # Errors
/// The bytes are no such value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    let config = bincode::config::standard().with_limit::<{ 2 * MAX_MESSAGE }>();
    bincode::serde::decode_from_slice(bytes, config).map(|(value, _)| value).map_err(io::Error::other)
}

/// Sends a message on a blocking socket.
///
/// # Errors
/// The peer is gone, or the message is too long.
pub fn send<T: Serialize>(socket: BorrowedFd, value: &T, descriptors: &[OwnedFd]) -> io::Result<()> {
    Ok(hull_sys::message::send(socket, &encode(value)?, descriptors)?)
}

/// Receives a message from a blocking socket; `None`: the peer has closed it.
///
/// # Errors
/// The message is not one of ours.
pub fn receive<T: DeserializeOwned>(socket: BorrowedFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut buffer = vec![0; MAX_MESSAGE];
    let (length, descriptors) = hull_sys::message::receive(socket, &mut buffer)?;
    if length == 0 {
        return Ok(None);
    }
    Ok(Some((decode(&buffer[..length])?, descriptors)))
}
