//! What callers hold of a plugin process: its name, its state, and a way to ask for it.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hull_plugin::{Code, Description, DriverError, Manifest, PoolName};
use tokio::sync::{mpsc, oneshot, watch};

use super::output::Output;
use super::owner::{self, Command};
use super::queue::Queue;
use super::session::Session;
use crate::look;
use crate::plugins::statistics::Statistics;
use crate::plugins::{Environment, Notice};

/// How long a call waits for a plugin that is starting, restarting or taking its objects over.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// How long a process may take to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// Which process: one a driver, or one a pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ProcessName {
    pub(crate) plugin: String,
    pub(crate) pool: Option<PoolName>,
}

/// `network-bridge`, `storage-dir@default`: also the name of its cgroup.
impl fmt::Display for ProcessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plugin)?;
        self.pool.iter().try_for_each(|pool| write!(f, "@{pool}"))
    }
}

/// A plugin as it lies on disk.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    pub(crate) manifest: Manifest,
    pub(crate) executable: PathBuf,
    /// Which of the versions that were installed while Hull ran; `None`: the one that Hull was started with.
    pub(crate) number: Option<u32>,
    /// The executable and its companions as they were when they were found, even if something else lies there now.
    pub(crate) files: Vec<Arc<File>>,
    /// What is run instead if this one has never served and does not start.
    pub(crate) fallback: Option<Arc<Installed>>,
}

/// What is remembered of a process, for lists.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The program that runs, or would.
    pub(crate) installed: Arc<Installed>,
    /// How often a process of it has become ready, beside those that were started after a rest.
    pub(crate) starts: u64,
    /// It has ended because nobody needed it.
    pub(crate) rests: bool,
    /// When the present one did.
    pub(crate) since: Option<SystemTime>,
    /// What the last process that ended left as its account.
    pub(crate) last_end: Option<Arc<str>>,
    /// Replaced processes that still finish their calls.
    pub(crate) draining: usize,
    /// The longest that calls have waited for a replacement.
    pub(crate) held: Duration,
}

/// Everything about a process that does not change while it runs.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) name: ProcessName,
    pub(crate) installed: Arc<Installed>,
    /// The pool's directory, for storage drivers.
    pub(crate) pool_source: Option<PathBuf>,
    pub(crate) environment: Arc<Environment>,
    pub(crate) statistics: Arc<Statistics>,
}

impl Spec {
    /// Tells the rest of hulld what the administrator should know.
    pub(super) fn notice(&self, notice: Notice) {
        self.environment.handles.noticed(&self.name.plugin, self.name.pool.as_ref(), notice);
    }

    /// The same process with another program.
    pub(super) fn with(&self, installed: Arc<Installed>) -> Self {
        Self { installed, ..self.clone() }
    }
}

/// Where a process stands.
#[derive(Clone)]
pub(crate) enum Status {
    Stopped,
    Starting,
    Ready(Arc<Session>),
    /// Quarantined, and why.
    Failed(Arc<str>),
}

/// A plugin process, whether it runs now or not.
pub(crate) struct Process {
    pub(crate) spec: Arc<Spec>,
    pub(crate) queue: Queue,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) status: watch::Receiver<Status>,
    pub(super) facts: watch::Receiver<Facts>,
    output: Output,
}

impl Process {
    /// The process and its owner task; nothing is started yet.
    pub(crate) fn new(spec: Spec) -> Arc<Self> {
        let spec = Arc::new(spec);
        let (commands, receiver) = mpsc::channel(64);
        let (status_sender, status) = watch::channel(Status::Stopped);
        let installed = spec.installed.clone();
        let facts = Facts {
            installed,
            starts: 0,
            rests: false,
            since: None,
            last_end: None,
            draining: 0,
            held: Duration::ZERO,
        };
        let (facts_sender, facts) = watch::channel(facts);
        let output = Output::default();
        let tracker = &spec.environment.tasks;
        let stop = spec.environment.stop.clone();
        let owner = owner::Owner::new(spec.clone(), status_sender, facts_sender, output.clone());
        tracker.spawn(owner::run(owner, receiver, stop));
        Arc::new(Self { spec, queue: Queue::default(), commands, status, facts, output })
    }

    pub(crate) fn plugin(&self) -> &str {
        &self.spec.name.plugin
    }

    pub(crate) fn facts(&self) -> Facts {
        self.facts.borrow().clone()
    }

    /// The kept end of what its processes wrote.
    pub(crate) fn output(&self) -> String {
        self.output.text()
    }

    /// The last lines of that.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        self.output.last_lines()
    }

    pub(crate) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// The running process, started if need be.
    ///
    /// # Errors
    /// `Unavailable`: quarantined, or not ready in time.
    pub(crate) async fn ready(&self) -> Result<Arc<Session>, DriverError> {
        if let Status::Ready(session) = &*self.status.borrow()
            && !session.gone.is_cancelled()
        {
            return Ok(session.clone());
        }
        self.installed()?;
        self.pool_is_there().await?;
        let mut status = self.status.clone();
        let settled = async {
            self.send(Command::Wanted).await; // a quarantine that is over ends with this
            // A process that has ended is still named for a moment, until its owner has noticed.
            let settled = status.wait_for(|status| match status {
                Status::Ready(session) => !session.gone.is_cancelled(),
                status => matches!(status, Status::Failed(_)),
            });
            settled.await
        };
        match tokio::time::timeout(START_PATIENCE, settled).await {
            Ok(Ok(status)) => match &*status {
                Status::Ready(session) => Ok(session.clone()),
                Status::Failed(reason) => Err(self.quarantined(reason)),
                Status::Stopped | Status::Starting => Err(self.stopping()),
            },
            Ok(Err(_closed)) => Err(self.stopping()),
            Err(_elapsed) => {
                let message = format!("plugin `{}` was not ready within {START_PATIENCE:?}", self.spec.name);
                Err(self.with_last_end(DriverError::new(Code::Unavailable, message)))
            }
        }
    }

    /// What the driver is and can do.
    pub(crate) async fn describe(&self) -> Result<Arc<Description>, DriverError> {
        Ok(self.ready().await?.description.clone())
    }

    /// Says that a process does not work any more; harmless if it is not the current one.
    pub(crate) async fn report_hung(&self, generation: u64, why: String) {
        self.send(|done| Command::Hung { generation, why, done }).await;
    }

    /// Replaces the process by one of `installed`, without a gap.
    ///
    /// # Errors
    /// `Unavailable`: the new one was refused, and why; the present one serves on. `Busy`: not now.
    pub(crate) async fn succeed(&self, installed: Arc<Installed>) -> Result<(), DriverError> {
        let (done, answer) = oneshot::channel();
        let sent = self.commands.send(Command::Succeed { installed, done }).await;
        match (sent, answer.await) {
            (Ok(()), Ok(result)) => result,
            _ => Err(self.stopping()),
        }
    }

    /// Has it run `installed` from its next start on, for one that cannot start now. What runs finishes its calls.
    pub(crate) async fn adopt(&self, installed: Arc<Installed>) {
        self.send(|done| Command::Adopt { installed, done }).await;
    }

    /// Ends it for good, whatever it is at.
    pub(crate) async fn end(&self) {
        self.send(Command::End).await;
    }

    /// Ends the process and starts it anew, whatever its state.
    pub(crate) async fn reset(&self) {
        self.send(Command::Reset).await;
    }

    /// Ends the process that runs now, if one does, and returns when it is gone.
    ///
    /// # Errors
    /// `Unavailable`: it does not end.
    pub(crate) async fn replace(&self) -> Result<(), DriverError> {
        let old = match self.status() {
            Status::Stopped => return Ok(()),
            Status::Starting => self.ready().await.ok(),
            Status::Ready(session) => Some(session),
            Status::Failed(_) => None,
        };
        self.reset().await;
        let Some(old) = old else { return Ok(()) };
        tokio::time::timeout(FAREWELL, old.gone.cancelled()).await.map_err(|_elapsed| {
            DriverError::new(Code::Unavailable, format!("the process of plugin `{}` does not end", self.spec.name))
        })
    }

    /// Returns when the owner has acted on it.
    async fn send(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (done, acted) = oneshot::channel();
        // Fails only when the owner has ended, and then the status channel says so.
        if self.commands.send(command(done)).await.is_ok() {
            let _ = acted.await;
        }
    }

    /// A program that is away is no crash: nothing is counted, and the first call after its return starts it.
    fn installed(&self) -> Result<(), DriverError> {
        let facts = self.facts.borrow();
        let program = &facts.installed.executable;
        if program.exists() {
            return Ok(());
        }
        let message = format!("the program of plugin `{}` is missing: `{}`", self.spec.name, program.display());
        Err(DriverError::new(Code::Unavailable, message).hint("install it again"))
    }

    /// The same for the directory of a pool.
    pub(crate) async fn pool_is_there(&self) -> Result<(), DriverError> {
        let Some(pool) = &self.spec.pool_source else { return Ok(()) };
        if look::at(pool, Path::is_dir).await.unwrap_or(false) {
            return Ok(());
        }
        let message = format!("the directory `{}` of the pool is missing or does not answer", pool.display());
        Err(DriverError::new(Code::Unavailable, message).hint("is it mounted?"))
    }

    fn quarantined(&self, reason: &str) -> DriverError {
        let message = format!("plugin `{}` is out of service after too many crashes", self.spec.name);
        let hint = format!("see the log, then `hull plugin restart {}`", self.spec.name.plugin);
        DriverError::new(Code::Unavailable, message).because(reason).hint(hint)
    }

    fn stopping(&self) -> DriverError {
        let why = if self.spec.environment.stop.is_cancelled() { "hulld is stopping" } else { "its pool is gone" };
        DriverError::new(Code::Unavailable, format!("plugin `{}` is not available: {why}", self.spec.name))
    }

    pub(crate) fn with_last_end(&self, error: DriverError) -> DriverError {
        match &self.facts.borrow().last_end {
            Some(end) => error.because(end),
            None => error,
        }
    }
}
