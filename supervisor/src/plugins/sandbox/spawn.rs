//! hulld's side of starting a sandboxed process.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hull_sys::message::{packet_pair, receive};
use hull_sys::process;
use hull_sys::spawn::c_string;
use nix::fcntl::OFlag;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::build::plugin_plan;
use super::plan::{Identity, Plan};
use super::refusals::Refusals;
use super::stage::{FAILED, LISTENING, STARTED};
use crate::blocking::blocking;
use crate::cgroups::CgroupError;
use crate::keeper::KeeperClient;
use crate::look;
use crate::plugins::process::Spec;

/// Building a sandbox takes milliseconds; one that takes so long has met something that hangs.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    #[error("its manifest asks for the impossible: {why}")]
    Manifest { why: String },
    #[error("its manifest has no service `{service}`")]
    NoService { service: String },
    #[error("the pool's directory `{path}` is missing")]
    Pool { path: String },
    #[error("cannot make its directory `{}`", path.display())]
    State { path: PathBuf, source: io::Error },
    #[error("cannot bound it")]
    Cgroup(#[source] CgroupError),
    #[error("cannot start the sandbox stage")]
    System(#[source] io::Error),
    #[error("its sandbox cannot be built: {0}")]
    Stage(String),
    #[error("its sandbox was not built within {PATIENCE:?}")]
    Slow,
}

impl From<io::Error> for SpawnError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<nix::errno::Errno> for SpawnError {
    fn from(error: nix::errno::Errno) -> Self {
        Self::System(error.into())
    }
}

/// hulld's ends of the channels it calls by.
pub(crate) struct Sockets {
    pub(crate) lifecycle: OwnedFd,
    pub(crate) driver: OwnedFd,
}

/// hulld's ends of all of a plugin's channels.
pub(crate) struct PluginSockets {
    pub(crate) lifecycle: OwnedFd,
    pub(crate) driver: OwnedFd,
    pub(crate) host: OwnedFd,
}

/// A sandboxed process.
pub(crate) struct Child {
    pid: i32,
    process: AsyncFd<OwnedFd>,
    refusals: Option<Refusals>,
}

/// Whom a process is to be a child of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// hulld: it ends with it.
    Supervisor,
    /// The keeper: it outlives hulld.
    Keeper,
}

/// Which of a plugin's processes that live at a time one is: it has a control group of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

/// The first slot that is not taken.
pub(crate) fn free_slot(taken: &[Slot]) -> Slot {
    let mut slots = (0..).map(Slot);
    slots.find(|slot| !taken.contains(slot)).unwrap_or(Slot(0)) // there is always one
}

/// Removes the groups of `further` slots that are not taken, as far as they are empty.
pub(crate) fn tidy_groups(spec: &Spec, taken: &[Slot], further: usize) {
    for slot in (1..).map(Slot).take(further).filter(|slot| !taken.contains(slot)) {
        spec.environment.cgroups.plugin(&slot.group(spec)).tidy();
    }
}

/// Removes all groups of a plugin that has no process any more.
pub(crate) fn remove_groups(spec: &Spec) {
    spec.environment.cgroups.plugin(&Slot(0).group(spec)).tidy();
}

impl Slot {
    /// The name of the process's control group: `storage-dir@default`, `storage-dir@default~1`.
    pub(crate) fn group(self, spec: &Spec) -> String {
        if self.0 == 0 { spec.name.to_string() } else { format!("{}~{}", spec.name, self.0) }
    }

    /// Under which the keeper knows the process.
    fn key(self, spec: &Spec) -> String {
        format!("process/{}", self.group(spec))
    }
}

/// Starts a plugin's process; also returns the reading end of its output. Before the `first` of a supervisor all that an
/// earlier supervisor has left are ended.
pub(crate) async fn spawn_plugin(
    spec: &Spec,
    slot: Slot,
    first: bool,
) -> Result<(Child, PluginSockets, OwnedFd), SpawnError> {
    let environment = &spec.environment;
    let key = slot.key(spec);
    end_predecessors(spec, slot, first).await;
    if let Some(pool) = &spec.pool_source
        && !look::at(pool, Path::is_dir).await.unwrap_or(false)
    {
        return Err(SpawnError::Pool { path: pool.display().to_string() });
    }
    let plan = blocking(|| plugin_plan(spec, slot))?;
    let (lifecycle, their_lifecycle) = packet_pair()?;
    let (driver, their_driver) = packet_pair()?;
    let (host, their_host) = packet_pair()?;
    let (output, their_output) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    nix::fcntl::fcntl(&output, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let theirs = [their_lifecycle.as_fd(), their_driver.as_fd(), their_host.as_fd()];
    let lasting = matches!(plan.identity, Identity::LastingNamespace { .. });
    let namespace_key = user_namespace_key(&spec.name.plugin);
    let namespace = if lasting { environment.keeper.fetch(&namespace_key).await? } else { None };
    let start = Start { stage: &environment.executable, target: Target::Supervisor, namespace: namespace.as_ref() };
    let child = start.spawn(&plan, &theirs, their_output.as_fd()).await?;
    let kept = async {
        environment.keeper.store(&key, child.process()).await?;
        if lasting && namespace.is_none() {
            let made = std::fs::File::open(format!("/proc/{}/ns/user", child.pid()))?;
            environment.keeper.store(&namespace_key, made.as_fd()).await?;
        }
        Ok::<(), SpawnError>(())
    };
    if let Err(error) = kept.await {
        // Nobody will ever hear of it.
        child.kill();
        child.exited().await;
        child.status(); // reaps it
        return Err(error);
    }
    Ok((child, PluginSockets { lifecycle, driver, host }, output))
}

/// Those of an earlier supervisor that followed it. Called before any plugin is started; one that lives on is ended when its
/// successor is started.
pub(crate) async fn forget_ended_processes(keeper: &KeeperClient) {
    for key in keeper.list(PROCESS).await.unwrap_or_default() {
        if !forget_if_ended(keeper, &key, ENDING).await {
            let (keeper, key) = (keeper.clone(), key);
            tokio::spawn(async move { forget_if_ended(&keeper, &key, LAST_ENDING).await });
        }
    }
}

/// One that has ended can still be signalled until it is reaped; one whose supervisor was killed ends in a moment.
async fn forget_if_ended(keeper: &KeeperClient, key: &str, patience: Duration) -> bool {
    let Ok(Some(old)) = keeper.fetch(key).await else { return true };
    if tokio::time::timeout(patience, crate::keeper::ended(&old)).await.is_err() {
        return false;
    }
    // Its successor may have taken the key meanwhile.
    let now = keeper.fetch(key).await.ok().flatten();
    if let Some(now) = now
        && tokio::time::timeout(Duration::ZERO, crate::keeper::ended(&now)).await.is_ok()
    {
        let _ = keeper.discard(key).await; // kept, it costs a descriptor
    }
    true
}

const PROCESS: &str = "process/";
/// How long a process of an earlier supervisor is waited for before it is left to whoever takes its place.
const ENDING: Duration = Duration::from_millis(50);
const LAST_ENDING: Duration = Duration::from_secs(30);

/// The control group and the keeper's record of a process that has ended.
pub(crate) async fn forget_plugin(spec: &Spec, slot: Slot) {
    if slot != Slot(0) {
        // Helpers that wait for commands in containers stay in it; then it stays, too, and is used again.
        spec.environment.cgroups.plugin(&slot.group(spec)).tidy();
    }
    if let Err(error) = spec.environment.keeper.discard(&slot.key(spec)).await {
        tracing::debug!(plugin = %spec.name, %error, "the keeper keeps an ended process");
    }
}

async fn end_predecessors(spec: &Spec, slot: Slot, first: bool) {
    let keeper = &spec.environment.keeper;
    end_predecessor(keeper, &slot.key(spec)).await;
    if !first {
        return;
    }
    let others = keeper.list(&format!("process/{}~", spec.name)).await.unwrap_or_default();
    for key in others {
        end_predecessor(keeper, &key).await;
    }
}

/// A process of an earlier supervisor that has not followed it: it may hold what the new one needs.
async fn end_predecessor(keeper: &KeeperClient, key: &str) {
    if let Ok(Some(old)) = keeper.fetch(key).await
        && process::signal(&old, Some(Signal::SIGKILL)).is_ok()
    {
        // Past the bound it is stuck in the kernel, and nothing more can be done about it.
        let _ = tokio::time::timeout(Duration::from_millis(500), crate::keeper::ended(&old)).await;
    }
}

/// Under which the user namespace of a plugin's processes is kept.
pub(crate) fn user_namespace_key(plugin: &str) -> String {
    format!("user-namespace/{plugin}")
}

/// Carries out `plan` with `descriptors` from 3 on.
pub(crate) async fn spawn(
    stage: &std::path::Path,
    plan: &Plan,
    descriptors: &[BorrowedFd<'_>],
    output: BorrowedFd<'_>,
    target: Target,
) -> Result<Child, SpawnError> {
    Start { stage, target, namespace: None }.spawn(plan, descriptors, output).await
}

/// How a process is started, beside its plan.
struct Start<'a> {
    stage: &'a std::path::Path,
    target: Target,
    /// The user namespace to enter instead of making one.
    namespace: Option<&'a OwnedFd>,
}

impl Start<'_> {
    async fn spawn(
        self,
        plan: &Plan,
        descriptors: &[BorrowedFd<'_>],
        output: BorrowedFd<'_>,
    ) -> Result<Child, SpawnError> {
        let (status, their_status) = packet_pair()?;
        let written = write_plan(plan)?;
        let null = std::fs::File::open("/dev/null")?;
        let mut table = vec![(0, null.as_fd()), (1, output), (2, output)];
        let extra = [Some(written.as_fd()), Some(their_status.as_fd()), self.namespace.map(AsFd::as_fd)];
        table.extend((3..).zip(descriptors.iter().copied().chain(extra.into_iter().flatten())));
        let target = match self.target {
            Target::Supervisor => "supervisor",
            Target::Keeper => "keeper",
        };
        let namespace = if self.namespace.is_some() { "enter" } else { "make" };
        let arguments = ["hulld", "--sandbox", &descriptors.len().to_string(), target, namespace];
        let arguments = arguments.map(c_string).into_iter().collect::<Result<Vec<_>, _>>()?;
        // The file may have been replaced since this process was started from it.
        let own = crate::sys::own_program().is_ok_and(|own| own == self.stage);
        let program = if own { std::path::Path::new("/proc/self/exe") } else { self.stage };
        let program = c_string(program.as_os_str().as_encoded_bytes())?;
        let stage = blocking(|| hull_sys::spawn::spawn(&program, &arguments, &[], &table))?;
        let stage = process::open(stage.as_raw())?;
        drop(their_status);
        let mut said = Said::default();
        let answer = tokio::time::timeout(PATIENCE, hear(&status, &mut said)).await;
        if answer.is_err() {
            for process in [Some(&stage), said.started.as_ref().map(|(_, process)| process)].into_iter().flatten() {
                let _ = process::signal(process, Some(Signal::SIGKILL)); // it may have ended this moment
            }
        }
        reap(stage).await;
        answer.map_err(|_| SpawnError::Slow)??;
        let Said { started, listener } = said;
        let ended = || SpawnError::Stage("the stage ended without a word".into());
        let (pid, process) = started.ok_or_else(ended)?;
        let refusals = listener.map(|listener| Refusals::new(plan, listener));
        Ok(Child { pid, process: crate::sys::watch(process, Interest::READABLE)?, refusals })
    }
}

fn write_plan(plan: &Plan) -> io::Result<OwnedFd> {
    let memory = memfd_create(c"plan", MFdFlags::MFD_CLOEXEC)?;
    let mut file = std::fs::File::from(memory);
    file.write_all(&serde_json::to_vec(plan)?)?;
    io::Seek::rewind(&mut file)?;
    Ok(file.into())
}

/// What the stage and the program's process have said.
#[derive(Default)]
struct Said {
    started: Option<(i32, OwnedFd)>,
    listener: Option<OwnedFd>,
}

/// Listens to the stage until the program runs, which closes the socket, or it says what failed.
async fn hear(status: &OwnedFd, said: &mut Said) -> Result<(), SpawnError> {
    let status = crate::sys::watch(status.try_clone()?, Interest::READABLE)?;
    let mut buffer = [0; 4096];
    loop {
        let read = |socket: &OwnedFd| Ok(receive(socket.as_fd(), &mut buffer)?);
        let (length, descriptors) = status.async_io(Interest::READABLE, read).await?;
        match (buffer[..length].split_first(), descriptors.into_iter().next()) {
            (None, _) => return Ok(()),
            (Some((&STARTED, rest)), Some(process)) => {
                let pid = rest.first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes));
                said.started = Some((pid, process));
            }
            (Some((&LISTENING, _)), listener) => said.listener = listener,
            (Some((&FAILED, text)), _) => return Err(SpawnError::Stage(String::from_utf8_lossy(text).into_owned())),
            _ => {}
        }
    }
}

/// The stage has done its work: it ends at once.
async fn reap(stage: OwnedFd) {
    // A stage that does not end is stuck in the kernel; the keeper will reap it.
    let _ = tokio::time::timeout(Duration::from_secs(1), crate::keeper::ended(&stage)).await;
    let _ = process::wait_child(stage.as_fd());
}

impl Child {
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// What its filter has to say: to be followed by whoever owns the process, or its refused calls wait for ever.
    pub(crate) fn take_refusals(&mut self) -> Option<Refusals> {
        self.refusals.take()
    }

    pub(crate) fn process(&self) -> BorrowedFd<'_> {
        self.process.get_ref().as_fd()
    }

    pub(crate) fn kill(&self) {
        // One that has ended already is what was wanted.
        let _ = process::signal(self.process(), Some(Signal::SIGKILL));
    }

    /// Resolves when the process has ended.
    pub(crate) async fn exited(&self) {
        // The only failure is a closing event loop, and then nobody waits any more.
        let _ = self.process.readable().await.map(|mut guard| guard.retain_ready());
    }

    /// How it ended. Reaps it.
    pub(crate) fn status(&self) -> Option<i32> {
        process::wait_child(self.process()).ok().flatten().or_else(|| process::exit_status(self.process()))
    }

    /// Where in the kernel the process is.
    pub(crate) fn kernel_stack(&self) -> String {
        // The thread that is stuck, which need not be the first: of one that has ended nothing is to be read.
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        let stack = |thread: std::fs::DirEntry| {
            let stack = std::fs::read_to_string(thread.path().join("stack")).ok()?;
            let frames: Vec<&str> = stack.lines().filter_map(|line| line.split("] ").nth(1)).take(6).collect();
            (!frames.is_empty()).then(|| frames.join(" < "))
        };
        threads.filter_map(stack).last().unwrap_or_else(|| "an unknown place".into())
    }
}
