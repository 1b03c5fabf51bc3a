//! All plugins of one hulld: what is installed, what runs, and a handle to each.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use hull_plugin::{Code, Description, DriverError, Manifest, PluginKind, PoolName};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::discover;
use super::handles::{ImageHandle, InstanceHandle, NetworkHandle, StorageHandle};
use super::process::{Installed, Process, ProcessName, Spec, Status};
use super::replace;
use super::services::Services;
use super::source::HandleSource;
use super::statistics::Statistics;
use super::upcalls::ProgressReport;
use super::versions::Versions;
use crate::cgroups::Cgroups;
use crate::keeper::KeeperClient;

/// What [`Settings::rest_after`] is unless somebody wants it otherwise.
pub const REST_AFTER: Duration = Duration::from_secs(60);

/// What the plugins need of hulld.
pub struct Settings {
    pub hull_dir: PathBuf,
    /// hulld's own program, which builds the sandboxes (`--sandbox`), and beside which plugins are looked for.
    pub executable: PathBuf,
    pub keeper: KeeperClient,
    pub cgroups: Cgroups,
    pub handles: Arc<dyn HandleSource>,
    /// After so long without a call, a process that looks after nothing is stopped.
    pub rest_after: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum PluginsError {
    #[error("cannot make the directory `{}` for the plugins' state", path.display())]
    StateDirectory { path: PathBuf, source: std::io::Error },
    #[error("looking for plugins failed")]
    Discovery(#[source] tokio::task::JoinError),
}

/// What every process shares.
pub(crate) struct Environment {
    pub(crate) hull_dir: PathBuf,
    pub(crate) executable: PathBuf,
    pub(crate) keeper: KeeperClient,
    pub(crate) cgroups: Cgroups,
    pub(crate) handles: Arc<dyn HandleSource>,
    pub(crate) rest_after: Duration,
    pub(crate) progress: broadcast::Sender<ProgressReport>,
    /// Processes that were given up.
    pub(crate) failures: broadcast::Sender<PluginFailure>,
    pub(crate) services: Services,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl Environment {
    /// Makes the directory of the plugins' state, too.
    pub(crate) fn new(settings: Settings) -> Result<Self, PluginsError> {
        let Settings { hull_dir, executable, keeper, cgroups, handles, rest_after } = settings;
        let path = hull_dir.join("plugins");
        std::fs::create_dir_all(&path).map_err(|source| PluginsError::StateDirectory { path, source })?;
        let services = Services::new(keeper.clone());
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let progress = broadcast::channel(256).0;
        let failures = broadcast::channel(64).0;
        Ok(Self {
            hull_dir,
            executable,
            keeper,
            cgroups,
            handles,
            rest_after,
            progress,
            failures,
            services,
            tasks,
            stop,
        })
    }
}

/// The plugins. Cheap to clone.
#[derive(Clone)]
pub struct Plugins(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) environment: Arc<Environment>,
    /// The version of each that is run.
    installed: RwLock<Found>,
    pub(super) versions: Versions,
    /// Those that are being replaced.
    pub(super) changing: Mutex<BTreeSet<String>>,
    processes: Mutex<BTreeMap<ProcessName, Arc<Process>>>,
    /// By plugin; a description changes only with the program.
    descriptions: Mutex<BTreeMap<String, Arc<Description>>>,
}

/// What lay on disk when it was last looked at, or was chosen in its place.
struct Found {
    installed: BTreeMap<String, Arc<Installed>>,
    at: Instant,
}

/// What is missing is looked for again, but not for every request that misses it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What listeners are told of a plugin's process.
#[derive(Clone, Debug)]
pub struct PluginFailure {
    pub plugin: String,
    /// `storage-dir@default`
    pub process: String,
    pub kind: FailureKind,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// It ended unasked.
    Ended,
    /// It is not started again for a while.
    OutOfService,
}

/// A plugin, for lists.
#[derive(Clone, Debug)]
pub struct PluginSummary {
    pub manifest: Manifest,
    pub executable: PathBuf,
    /// Its processes: name (`storage-dir@default`) and state.
    pub processes: Vec<(String, PluginState)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginState {
    Stopped,
    Starting,
    Ready {
        pid: i32,
    },
    /// Quarantined.
    Failed {
        reason: String,
    },
}

/// `storage-dir`: how a driver's plugin is called.
pub(crate) fn plugin_name(kind: PluginKind, driver: &str) -> String {
    let kind = match kind {
        PluginKind::Storage => "storage",
        PluginKind::Network => "network",
        PluginKind::Instance => "instance",
        PluginKind::Image => "image",
    };
    format!("{kind}-{driver}")
}

impl Plugins {
    /// Finds the plugins. None is started before it is needed.
    pub async fn start(settings: Settings) -> Result<Self, PluginsError> {
        let environment = Environment::new(settings)?;
        let versions = Versions::new(&environment.hull_dir);
        let looking = {
            let (executable, hull_dir) = (environment.executable.clone(), environment.hull_dir.clone());
            let versions = versions.clone();
            tokio::task::spawn_blocking(move || replace::chosen(&versions, discover::found(&executable, &hull_dir)))
        };
        let environment = Arc::new(environment);
        super::sandbox::forget_ended_processes(&environment.keeper).await;
        environment.services.adopt(&environment).await;
        let installed = looking.await.map_err(PluginsError::Discovery)?;
        let installed = RwLock::new(Found { installed, at: Instant::now() });
        Ok(Self(Arc::new(Inner {
            environment,
            installed,
            versions,
            changing: Mutex::default(),
            processes: Mutex::default(),
            descriptions: Mutex::default(),
        })))
    }

    /// The driver of one pool whose directory on the host is `source` (it must exist by the first call).
    pub fn storage(&self, pool: &PoolName, driver: &str, source: &Path) -> Result<StorageHandle, DriverError> {
        let process = self.process(PluginKind::Storage, driver, Some((pool, source)))?;
        Ok(StorageHandle { process, source: Arc::new(source.to_owned()) })
    }

    pub fn network(&self, driver: &str) -> Result<NetworkHandle, DriverError> {
        self.process(PluginKind::Network, driver, None).map(|process| NetworkHandle { process })
    }

    pub fn instance(&self, driver: &str) -> Result<InstanceHandle, DriverError> {
        self.process(PluginKind::Instance, driver, None).map(|process| InstanceHandle { process })
    }

    pub fn image(&self, driver: &str) -> Result<ImageHandle, DriverError> {
        self.process(PluginKind::Image, driver, None).map(|process| ImageHandle { process })
    }

    /// The image source that serves a remote's `protocol`.
    pub async fn image_by_protocol(&self, protocol: &str) -> Result<ImageHandle, DriverError> {
        self.image_that_can(&format!("protocol:{protocol}")).await
    }

    /// The driver that takes uploads apart and reads images' metadata.
    pub async fn image_inspector(&self) -> Result<ImageHandle, DriverError> {
        self.image_that_can("inspect").await
    }

    /// The words of all installed drivers of a kind, without starting any.
    pub fn drivers(&self, kind: PluginKind) -> Vec<String> {
        let prefix = plugin_name(kind, "");
        let found = self.found();
        let of_kind = found.installed.values().filter(|installed| installed.manifest.kind == kind);
        of_kind.filter_map(|installed| installed.manifest.name.strip_prefix(&prefix).map(str::to_owned)).collect()
    }

    /// Whether a driver is there now: installed, and its program not taken away.
    pub(crate) fn is_there(&self, kind: PluginKind, driver: &str) -> bool {
        self.installed(&plugin_name(kind, driver)).is_ok_and(|installed| installed.executable.exists())
    }

    /// Something is missing: perhaps it has come meanwhile. Returns whether anything is new.
    fn look_again(&self) -> bool {
        let mut found = self.0.installed.write().unwrap_or_else(PoisonError::into_inner);
        if found.at.elapsed() < LOOK_AGAIN {
            return false;
        }
        let environment = &self.0.environment;
        let before = found.installed.len();
        // What is known stays as it is: its processes run with it.
        for (name, installed) in discover::found(&environment.executable, &environment.hull_dir) {
            found.installed.entry(name).or_insert(installed);
        }
        found.at = Instant::now();
        found.installed.len() > before
    }

    fn found(&self) -> std::sync::RwLockReadGuard<'_, Found> {
        self.0.installed.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the drivers of a kind can do. Those not asked before are started; one that cannot be is left out and logged.
    pub async fn descriptions(&self, kind: PluginKind) -> Vec<Arc<Description>> {
        let mut drivers = self.drivers(kind);
        if drivers.is_empty() && self.look_again() {
            drivers = self.drivers(kind);
        }
        let describe = drivers.iter().map(|driver| async move {
            let described = self.describe(kind, driver).await;
            described.inspect_err(|error| tracing::warn!(driver, %error, "a driver does not describe itself")).ok()
        });
        futures::future::join_all(describe).await.into_iter().flatten().collect()
    }

    /// What one driver can do. Starts it if it was not asked before (a storage driver in a process without a pool, which
    /// ends again).
    pub async fn describe(&self, kind: PluginKind, driver: &str) -> Result<Arc<Description>, DriverError> {
        let plugin = plugin_name(kind, driver);
        let known = || self.0.descriptions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(description) = known().get(&plugin) {
            return Ok(description.clone());
        }
        let process = self.process(kind, driver, None)?;
        let described = process.describe().await;
        if kind == PluginKind::Storage {
            self.forget(&process);
        }
        let description = described?;
        known().insert(plugin, description.clone());
        Ok(description)
    }

    /// After a restart of the keeper: the user namespace of a driver's processes, found by an instance that lives below it.
    pub(crate) async fn adopt_user_namespace(&self, driver: &str, instance: i32) -> std::io::Result<()> {
        let keeper = &self.0.environment.keeper;
        let key = super::sandbox::user_namespace_key(&plugin_name(PluginKind::Instance, driver));
        if keeper.fetch(&key).await?.is_some() {
            return Ok(());
        }
        let of_instance = std::fs::File::open(format!("/proc/{instance}/ns/user"))?;
        let parent = hull_sys::descriptor::parent_namespace(&of_instance)?;
        keeper.store(&key, parent.as_fd()).await
    }

    /// What is installed and what of it runs.
    pub fn list(&self) -> Vec<PluginSummary> {
        let summary = |installed: Arc<Installed>| PluginSummary {
            manifest: installed.manifest.clone(),
            executable: installed.executable.clone(),
            processes: (self.processes_of(&installed.manifest.name).iter())
                .map(|process| (process.spec.name.to_string(), state_of(&process.status())))
                .collect(),
        };
        self.all_installed().into_iter().map(summary).collect()
    }

    /// The version of each plugin that is run.
    pub(super) fn all_installed(&self) -> Vec<Arc<Installed>> {
        self.found().installed.values().cloned().collect()
    }

    /// What is installed here and would not be for an hulld at `executable`.
    pub(crate) fn missing_beside(&self, executable: &Path) -> Vec<String> {
        let there = discover::found(executable, &self.0.environment.hull_dir);
        self.found().installed.keys().filter(|name| !there.contains_key(*name)).cloned().collect()
    }

    /// # Errors
    /// `NotFound`: no such plugin is installed.
    pub(super) fn installed(&self, plugin: &str) -> Result<Arc<Installed>, DriverError> {
        let known = || self.found().installed.get(plugin).cloned();
        let found = known().or_else(|| if self.look_again() { known() } else { None });
        found.ok_or_else(|| DriverError::not_found(format!("no plugin `{plugin}` is installed")))
    }

    pub(super) fn processes_of(&self, plugin: &str) -> Vec<Arc<Process>> {
        let processes = self.0.processes.lock().unwrap_or_else(PoisonError::into_inner);
        processes.values().filter(|process| process.plugin() == plugin).cloned().collect()
    }

    /// Makes `new` the version that is run, if all processes run it; else returns one that does not.
    pub(super) fn settle(&self, new: &Arc<Installed>) -> Option<Arc<Process>> {
        let plugin = &new.manifest.name;
        // Whoever makes a process holds this lock: none is made of the old version behind our back.
        let processes = self.0.processes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own = processes.values().filter(|process| process.plugin() == plugin);
        let other = own.find(|process| !Arc::ptr_eq(&process.facts().installed, new));
        if other.is_none() {
            let mut found = self.0.installed.write().unwrap_or_else(PoisonError::into_inner);
            found.installed.insert(plugin.clone(), new.clone());
            self.0.descriptions.lock().unwrap_or_else(PoisonError::into_inner).remove(plugin);
        }
        other.cloned()
    }

    /// Drops a process that belongs to no pool.
    pub(super) fn forget(&self, process: &Process) {
        self.0.processes.lock().unwrap_or_else(PoisonError::into_inner).remove(&process.spec.name);
    }

    /// Ends the process of a pool that is no more, and leaves nothing of it.
    pub(crate) async fn end_pool(&self, driver: &str, pool: &PoolName) {
        let name = ProcessName { plugin: plugin_name(PluginKind::Storage, driver), pool: Some(pool.clone()) };
        let process = self.0.processes.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        if let Some(process) = process {
            process.end().await;
        }
    }

    /// Every process that ends unasked or is given up, from now on.
    pub(crate) fn failures(&self) -> broadcast::Receiver<PluginFailure> {
        self.0.environment.failures.subscribe()
    }

    /// Every process there is now.
    pub(super) fn processes(&self) -> Vec<Arc<Process>> {
        self.0.processes.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// What a driver has said of itself, if it was asked before.
    pub(super) fn known(&self, plugin: &str) -> Option<Arc<Description>> {
        self.0.descriptions.lock().unwrap_or_else(PoisonError::into_inner).get(plugin).cloned()
    }

    /// Every progress report of every plugin, from now on.
    pub fn progress(&self) -> broadcast::Receiver<ProgressReport> {
        self.0.environment.progress.subscribe()
    }

    /// Ends all plugin processes; services and what the drivers made live on. Bounded.
    pub async fn shutdown(&self) {
        let Environment { stop, tasks, .. } = &*self.0.environment;
        stop.cancel();
        tasks.close();
        if tokio::time::timeout(Duration::from_secs(3), tasks.wait()).await.is_err() {
            tracing::warn!("some plugins' tasks did not end in time");
        }
    }

    async fn image_that_can(&self, capability: &str) -> Result<ImageHandle, DriverError> {
        match self.known_image_that_can(capability).await {
            Err(_) if self.look_again() => self.known_image_that_can(capability).await,
            found => found,
        }
    }

    async fn known_image_that_can(&self, capability: &str) -> Result<ImageHandle, DriverError> {
        let mut failures = Vec::new();
        for driver in self.drivers(PluginKind::Image) {
            match self.describe(PluginKind::Image, &driver).await {
                Ok(description) if description.can(capability) => return self.image(&driver),
                Ok(_) => {}
                Err(error) => failures.push(error),
            }
        }
        let message = format!("no image driver has the capability `{capability}`");
        let error = failures.iter().fold(DriverError::new(Code::Unsupported, message), DriverError::because);
        Err(error)
    }

    pub(super) fn process(
        &self,
        kind: PluginKind,
        driver: &str,
        pool: Option<(&PoolName, &Path)>,
    ) -> Result<Arc<Process>, DriverError> {
        let plugin = plugin_name(kind, driver);
        let mut processes = self.0.processes.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(installed) = self.installed(&plugin) else {
            let message = format!("no {kind:?} driver `{driver}` is installed").to_lowercase();
            let known = self.drivers(kind).join("`, `");
            return Err(DriverError::new(Code::NotFound, message).hint(format!("installed are: `{known}`")));
        };
        let name = ProcessName { plugin, pool: pool.map(|(pool, _)| pool.clone()) };
        let source = pool.map(|(_, source)| source.to_owned());
        if let Some(process) = processes.get(&name).filter(|process| process.spec.pool_source == source) {
            return Ok(process.clone());
        }
        let environment = self.0.environment.clone();
        let statistics = Arc::new(Statistics::default());
        let spec = Spec { name: name.clone(), installed, pool_source: source, environment, statistics };
        let process = Process::new(spec);
        processes.insert(name, process.clone());
        Ok(process)
    }
}

pub(super) fn state_of(status: &Status) -> PluginState {
    match status {
        Status::Stopped => PluginState::Stopped,
        Status::Starting => PluginState::Starting,
        Status::Ready(session) => PluginState::Ready { pid: session.pid },
        Status::Failed(reason) => PluginState::Failed { reason: reason.to_string() },
    }
}

/// An error and all its causes on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// A wait status in words.
pub(crate) fn describe_status(status: i32) -> String {
    let signal = status & 0x7f;
    if signal == 0 {
        return format!("exited with status {}", (status >> 8) & 0xff);
    }
    let name = nix::sys::signal::Signal::try_from(signal).map_or("unknown", |signal| signal.as_str());
    format!("killed by signal {signal} ({name})")
}
