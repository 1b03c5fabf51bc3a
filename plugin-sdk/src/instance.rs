//! The instance contract: things that run. One process serves all instances of a driver.
//!
//! ```text
//!  prepare ─▶ (NICs into the namespace) ─▶ attach_mount … ─▶ start ─▶ running ─▶ (process ends) ─▶ cleanup
//!     └──────────────── cleanup at any point ◀──────────────────────────┘
//! ```

use serde::{Deserialize, Serialize};

use crate::network::InterfaceState;
use crate::{
    ConfigMap, DriverError, FileFd, Handle, InstanceId, MemoryFd, MountFd, NetworkNamespaceFd, OperationId, ProcessFd,
    StreamFd, UserNamespaceFd,
};

/// A range of ids: `count` ids from `inside` in the instance are those from `outside` on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdRange {
    pub inside: u32,
    pub outside: u32,
    pub count: u32,
}

/// Which host ids an instance's users and groups are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdMap {
    pub users: Vec<IdRange>,
    pub groups: Vec<IdRange>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Preparation {
    pub instance: InstanceId,
    pub idmap: IdMap,
    /// Where its processes belong: a path below `/cgroup/CONTROLLER` (v1) and `/cgroup/unified` (v2) that Hull has made,
    /// limited, and given to the instance's root.
    pub cgroup: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Prepared {
    /// What the root file system's mount is to be id-mapped with; `None`: it needs no mapping.
    pub user_namespace: Option<UserNamespaceFd>,
    pub network_namespace: NetworkNamespaceFd,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSpec {
    pub instance: InstanceId,
    pub hostname: String,
    /// `x86_64`
    pub architecture: String,
    /// The expanded configuration: `environment.*`, `security.*`, `raw.*`, `linux.sysctl.*`, …
    pub config: ConfigMap,
    /// The program to run as init instead of `/sbin/init`, with arguments.
    pub init: Vec<String>,
}

/// A mount to make inside an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    /// Absolute, inside the instance; missing parents and the mount point are made. Links in it are resolved inside.
    pub path: String,
    pub read_only: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Started {
    pub handle: Handle,
    /// The instance's first process. Hull waits for its end through this.
    pub process: ProcessFd,
    pub pid: i32,
}

/// How an instance is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopSignal {
    /// Shut down (SIGPWR for sysvinit-like inits, SIGRTMIN+3 for systemd; `raw.lxc`'s `lxc.signal.halt` overrides).
    Halt,
    /// Shut down and start again.
    Reboot,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSpec {
    pub instance: InstanceId,
    pub command: Vec<String>,
    /// Complete: Hull has put the defaults (PATH, HOME, USER, LANG, TERM) and `environment.*` in.
    pub environment: ConfigMap,
    pub user: u32,
    pub group: u32,
    pub directory: String,
    pub terminal: Option<TerminalSize>,
    /// See [`Preparation::cgroup`].
    pub cgroup: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    pub columns: u16,
    pub rows: u16,
}

/// Where the standard streams of a command go.
#[derive(Debug, Serialize, Deserialize)]
pub enum ExecStreams {
    /// A new terminal of the instance; its master is returned.
    Terminal(TerminalSize),
    /// Three new pipes; the host's ends are returned.
    Pipes,
    /// These, given by the caller (`/dev/null`, a log file).
    Given { stdin: StreamFd, stdout: StreamFd, stderr: StreamFd },
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Executed {
    /// The command, for signals. Ends with it.
    pub process: ProcessFd,
    /// Yields four bytes, little endian, once: the wait status (`man 2 wait`), when the command has ended. End of file
    /// without them: the status is unknown. It stays valid when the driver's process ends.
    pub status: StreamFd,
    /// The terminal's master, for both directions and for its size.
    pub terminal: Option<StreamFd>,
    pub stdin: Option<StreamFd>,
    pub stdout: Option<StreamFd>,
    pub stderr: Option<StreamFd>,
}

/// Where the files of an instance are: in it, or, when it does not run, in its mounted volume.
#[derive(Debug, Serialize, Deserialize)]
pub struct FilesAt {
    pub instance: InstanceId,
    /// The root volume and its id map, for an instance that does not run.
    pub stopped_root: Option<MountFd>,
    /// Absolute, inside.
    pub path: String,
}

/// What is at a path.
#[derive(Debug, Serialize, Deserialize)]
pub struct FileFound {
    pub user: u32,
    pub group: u32,
    /// Permission bits.
    pub mode: u32,
    pub content: FileContent,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum FileContent {
    /// A regular file, open for reading, and its size.
    File(FileFd, u64),
    /// The target of a symbolic link, not followed.
    Link(String),
    /// The names in a directory, as a JSON array of strings.
    Directory(MemoryFd),
}

/// What to make at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFile {
    pub kind: NewFileKind,
    /// `None`: keep what an existing file has, else 0.
    pub user: Option<u32>,
    pub group: Option<u32>,
    /// `None`: keep, else 0644 for files and 0755 for directories.
    pub mode: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NewFileKind {
    /// Truncated if it exists.
    File,
    Append,
    Directory,
    /// A symbolic link to this target.
    Link(String),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceState {
    pub pid: i32,
    pub processes: i64,
    pub cpu_nanoseconds: i64,
    pub memory_bytes: u64,
    pub memory_peak_bytes: u64,
    pub swap_bytes: u64,
    pub swap_peak_bytes: u64,
    pub frozen: bool,
    pub network: Vec<InterfaceState>,
}

/// Every method *ensures*: repeated after a crash, it succeeds again.
#[tarpc::service]
pub trait InstanceDriver {
    /// Gets an instance's namespaces ready. Repeated: the same namespaces.
    async fn prepare(op: OperationId, preparation: Preparation) -> Result<Prepared, DriverError>;
    /// Mounts something inside: before `start` (collected, in order) or into the running instance.
    /// `mount` is already id-mapped where it needs to be.
    async fn attach_mount(
        op: OperationId,
        instance: InstanceId,
        spec: MountSpec,
        mount: MountFd,
    ) -> Result<(), DriverError>;
    /// Unmounts from the running instance; not mounted is `Ok`.
    async fn detach_mount(op: OperationId, instance: InstanceId, path: String) -> Result<(), DriverError>;
    /// Runs the init of a prepared instance on `root`. Repeated after success: the same process.
    ///
    /// # Errors
    /// `InvalidConfig`, `NotFound` (no init in the root file system). Nothing runs then; the preparation is gone.
    async fn start(op: OperationId, spec: InstanceSpec, root: MountFd) -> Result<Started, DriverError>;
    /// Asks the instance to end by itself and returns at once; Hull watches the process.
    async fn signal(op: OperationId, instance: InstanceId, signal: StopSignal) -> Result<(), DriverError>;
    /// Ends every process of the instance. Returns when they are dead, not when their namespaces are gone.
    async fn kill(op: OperationId, instance: InstanceId) -> Result<(), DriverError>;
    /// Forgets an ended or half-started instance and removes everything the driver keeps for it.
    async fn cleanup(op: OperationId, instance: InstanceId) -> Result<(), DriverError>;
    async fn freeze(op: OperationId, instance: InstanceId) -> Result<(), DriverError>;
    async fn thaw(op: OperationId, instance: InstanceId) -> Result<(), DriverError>;

    /// Runs a command in the instance.
    ///
    /// # Errors
    /// `NotFound`, with key `command`: no such program, which LXD reports as exit status 127; `Permission` with the same key: 126.
    async fn exec(op: OperationId, spec: ExecSpec, streams: ExecStreams) -> Result<Executed, DriverError>;
    /// One end of a stream socket: what the console prints from now on, and what is typed. One session at a time; a new
    /// one ends the old.
    async fn console(instance: InstanceId) -> Result<StreamFd, DriverError>;
    /// What the console printed last (at most 128 KiB).
    async fn console_log(instance: InstanceId) -> Result<MemoryFd, DriverError>;
    async fn clear_console_log(instance: InstanceId) -> Result<(), DriverError>;
    /// The terminal size of the console.
    async fn resize_console(instance: InstanceId, size: TerminalSize) -> Result<(), DriverError>;

    async fn read_file(at: FilesAt) -> Result<FileFound, DriverError>;
    /// Makes or opens a file for writing; for files the descriptor to write to is returned.
    async fn write_file(at: FilesAt, file: NewFile) -> Result<Option<FileFd>, DriverError>;
    /// Deletes a file or an empty directory. Hulld takes a repetition that finds nothing as done.
    ///
    /// # Errors
    /// `NotFound`, with key `path`: nothing is there.
    async fn delete_file(at: FilesAt) -> Result<(), DriverError>;

    /// # Errors
    /// `NotFound`: it does not run.
    async fn state(instance: InstanceId) -> Result<InstanceState, DriverError>;
}
