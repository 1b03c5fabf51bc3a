//! Helper processes of drivers (dnsmasq, virtiofsd): they outlive their plugin and hulld, and are found again.
//!
//! A service is a child of the keeper. Its pidfd and its record (arguments, start time) are in the keeper's store under
//! `service/PLUGIN/KEY`, so a new supervisor knows it.

use std::collections::HashMap;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hull_plugin::{Code, DriverError, ProcessFd, ServiceSpec, ServiceState};
use hull_sys::process;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::process::{Output, Spec};
use super::registry::{Environment, chain};
use super::sandbox::{self, Refusals, Target};
use crate::keeper::{KeeperClient, ended};

const PREFIX: &str = "service/";
const RECORD: &str = "/record";
const PROCESS: &str = "/process";
/// The reading end of its output: kept too, so that the service can go on writing while there is no supervisor.
const OUTPUT: &str = "/output";
/// The listening end of its system call filter, so that it need not wait for long when there is no supervisor.
const REFUSALS: &str = "/refusals";
/// How long a service has for its own end before it is killed.
const POLITENESS: Duration = Duration::from_secs(3);
const DYING: Duration = Duration::from_secs(2);

/// So many services a plugin may have: one for each network, and some to spare.
const MOST: usize = 1024;

/// The place of one service.
type Slot = Arc<tokio::sync::Mutex<Option<Service>>>;

/// All services of all plugins.
pub(crate) struct Services {
    keeper: KeeperClient,
    /// By plugin and key. One lock a service keeps starting and stopping it apart.
    known: Mutex<HashMap<String, Slot>>,
}

struct Service {
    record: Record,
    process: OwnedFd,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    spec: ServiceSpec,
    pid: i32,
    started: u64,
}

impl Services {
    pub(super) fn new(keeper: KeeperClient) -> Self {
        Self { keeper, known: Mutex::default() }
    }

    /// Finds what an earlier supervisor started.
    pub(super) async fn adopt(&self, environment: &Environment) {
        let keys = environment.keeper.list(PREFIX).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the keeper does not say which services run");
            Vec::new()
        });
        for name in keys.iter().filter_map(|key| key.strip_prefix(PREFIX)?.strip_suffix(RECORD)) {
            match self.recall(name).await {
                Ok(Some(service)) => {
                    tracing::info!(service = name, pid = service.record.pid, "service adopted");
                    if let Ok(Some(output)) = self.keeper.fetch(&format!("{PREFIX}{name}{OUTPUT}")).await {
                        follow(environment, name, output);
                    }
                    if let Ok(Some(listener)) = self.keeper.fetch(&format!("{PREFIX}{name}{REFUSALS}")).await {
                        listen(environment, Refusals::again(name, listener));
                    }
                    *self.slot(name).lock().await = Some(service);
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(service = name, %error, "a service's record is lost"),
            }
        }
    }

    /// Ensures that the service runs with these arguments.
    pub(super) async fn start(&self, plugin: &Arc<Spec>, spec: ServiceSpec) -> Result<ProcessFd, DriverError> {
        check_key(&spec.key)?;
        let name = name(&plugin.name.plugin, &spec.key);
        let slot = self.slot_within(&plugin.name.plugin, &name)?;
        let mut slot = slot.lock().await;
        if let Some(running) = slot.as_ref().filter(|service| service.record.spec == spec && service.lives()) {
            return running.descriptor();
        }
        match slot.take() {
            Some(old) => self.end(plugin, &name, old).await?,
            None => end_unknown(plugin, &name).await,
        }
        let service = self.spawn(plugin, &name, spec).await?;
        let descriptor = service.descriptor();
        *slot = Some(service);
        descriptor
    }

    /// Ends the service; one that does not run is fine.
    pub(super) async fn stop(&self, plugin: &Spec, key: &str) -> Result<(), DriverError> {
        check_key(key)?;
        let name = name(&plugin.name.plugin, key);
        let slot = self.slot(&name);
        let mut slot = slot.lock().await;
        match slot.take() {
            Some(service) => self.end(plugin, &name, service).await,
            None => {
                end_unknown(plugin, &name).await;
                Ok(())
            }
        }
    }

    pub(super) async fn state(&self, plugin: &str, key: &str) -> ServiceState {
        let Some(slot) = self.all().get(&name(plugin, key)).cloned() else { return ServiceState::Unknown };
        let slot = slot.lock().await;
        match slot.as_ref() {
            None => ServiceState::Unknown,
            Some(service) if service.lives() => ServiceState::Running { pid: service.record.pid },
            Some(service) => {
                let Record { pid, started, .. } = service.record;
                let status = match process::exit_status(&service.process) {
                    Some(status) => Some(status),
                    None => self.keeper.exit_status(pid, started).await.ok().flatten(),
                };
                status.map_or(ServiceState::Unknown, |status| ServiceState::Exited { status })
            }
        }
    }

    fn slot(&self, name: &str) -> Slot {
        self.all().entry(name.to_owned()).or_default().clone()
    }

    /// The same, unless the plugin has enough.
    fn slot_within(&self, plugin: &str, name: &str) -> Result<Slot, DriverError> {
        let mut all = self.all();
        let prefix = self::name(plugin, "");
        if !all.contains_key(name) && all.keys().filter(|other| other.starts_with(&prefix)).count() >= MOST {
            let text = format!("cannot start service `{name}`: the plugin has {MOST} services already");
            return Err(DriverError::new(Code::Busy, text));
        }
        Ok(all.entry(name.to_owned()).or_default().clone())
    }

    /// Those that run, or that somebody is at work on.
    fn all(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|service| service.is_some()));
        known
    }

    async fn spawn(&self, plugin: &Arc<Spec>, name: &str, spec: ServiceSpec) -> Result<Service, DriverError> {
        let failed = |error: &dyn std::fmt::Display| {
            DriverError::new(Code::Unavailable, format!("cannot start service `{name}`")).because(error)
        };
        let group_key = name.replace('/', ".");
        let plan = sandbox::service_plan(plugin, &spec.service, &group_key, &spec.arguments).map_err(|error| {
            let code = if matches!(error, sandbox::SpawnError::NoService { .. }) {
                Code::Permission
            } else {
                Code::Unavailable
            };
            DriverError::new(code, format!("cannot start service `{name}`")).because(chain(&error))
        })?;
        let environment = &plugin.environment;
        let (output, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|error| failed(&error))?;
        nix::fcntl::fcntl(&output, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))
            .map_err(|error| failed(&error))?;
        let child = sandbox::spawn(&environment.executable, &plan, &[], theirs.as_fd(), Target::Keeper).await;
        let mut child = child.map_err(|error| failed(&chain(&error)))?;
        if let Some(refusals) = child.take_refusals() {
            let key = format!("{PREFIX}{name}{REFUSALS}");
            self.keeper.store(&key, refusals.listener()).await.map_err(|error| failed(&error))?;
            listen(environment, refusals);
        }
        self.keeper.store(&format!("{PREFIX}{name}{OUTPUT}"), output.as_fd()).await.map_err(|error| failed(&error))?;
        follow(environment, name, output);
        let process = child.process().try_clone_to_owned().map_err(|error| failed(&error))?;
        let started = process::start_time(child.pid()).unwrap_or(0);
        let service = Service { record: Record { spec, pid: child.pid(), started }, process };
        self.remember(name, &service).await.map_err(|error| failed(&error))?;
        tracing::info!(service = name, pid = service.record.pid, "service started");
        Ok(service)
    }

    async fn end(&self, plugin: &Spec, name: &str, old: Service) -> Result<(), DriverError> {
        let ended = end_process(&old.process).await;
        ended.map_err(|why| DriverError::new(Code::Busy, format!("the former service `{name}` {why}")))?;
        let group = plugin.environment.cgroups.service(&name.replace('/', "."));
        if let Err(error) = group.kill_all(DYING).await {
            tracing::warn!(service = name, error = chain(&error), "a service left processes behind");
        } else if let Err(error) = group.remove().await {
            tracing::warn!(service = name, error = chain(&error), "a service's control group stays");
        }
        self.forget(name).await;
        Ok(())
    }

    async fn remember(&self, name: &str, service: &Service) -> std::io::Result<()> {
        let mut file = std::fs::File::from(memfd_create(c"service", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(&serde_json::to_vec(&service.record)?)?;
        self.keeper.store(&format!("{PREFIX}{name}{PROCESS}"), service.process.as_fd()).await?;
        self.keeper.store(&format!("{PREFIX}{name}{RECORD}"), file.as_fd()).await
    }

    async fn recall(&self, name: &str) -> std::io::Result<Option<Service>> {
        let record = self.keeper.fetch(&format!("{PREFIX}{name}{RECORD}")).await?;
        let process = self.keeper.fetch(&format!("{PREFIX}{name}{PROCESS}")).await?;
        let (Some(record), Some(process)) = (record, process) else { return Ok(None) };
        let mut file = std::fs::File::from(record);
        file.rewind()?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(Some(Service { record: serde_json::from_slice(&text)?, process }))
    }

    async fn forget(&self, name: &str) {
        for part in [RECORD, PROCESS, OUTPUT, REFUSALS] {
            if let Err(error) = self.keeper.discard(&format!("{PREFIX}{name}{part}")).await {
                tracing::warn!(service = name, %error, "the keeper keeps an ended service");
            }
        }
    }
}

impl Service {
    fn lives(&self) -> bool {
        // A zombie can be signalled, but shows its end as readiness; asked without waiting.
        let mut set = [nix::poll::PollFd::new(self.process.as_fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut set, nix::poll::PollTimeout::ZERO) == Ok(0)
    }

    fn descriptor(&self) -> Result<ProcessFd, DriverError> {
        let copy = self.process.try_clone();
        copy.map(ProcessFd::new).map_err(|error| DriverError::system(&error, "cannot duplicate a descriptor"))
    }
}

/// Puts a service's output into the log. Ends with the service, or with hulld.
fn follow(environment: &Environment, name: &str, output: OwnedFd) {
    let (follow, stop) = (Output::default().follow(name.to_owned(), output), environment.stop.clone());
    environment.tasks.spawn(async move {
        if let Some(Err(error)) = stop.run_until_cancelled(follow).await {
            tracing::debug!(%error, "a service's output is lost");
        }
    });
}

/// Answers and logs what a service's filter refuses. Ends with the service, or with hulld.
fn listen(environment: &Environment, refusals: Refusals) {
    let stop = environment.stop.clone();
    environment.tasks.spawn(async move { stop.run_until_cancelled(refusals.follow()).await });
}

/// A service that a keeper started which has ended since: nobody knows it any more, and it holds what its successor needs.
async fn end_unknown(plugin: &Spec, name: &str) {
    let group = plugin.environment.cgroups.service(&name.replace('/', "."));
    if !group.processes().is_empty() {
        tracing::info!(service = name, "ending the service of an earlier keeper");
        if let Err(error) = group.kill_all(DYING).await {
            tracing::warn!(service = name, error = chain(&error), "a service of an earlier keeper lives on");
        } else if let Err(error) = group.remove().await {
            tracing::warn!(service = name, error = chain(&error), "a service's control group stays");
        }
    }
}

/// SIGTERM, then SIGKILL, both bounded.
async fn end_process(process: &OwnedFd) -> Result<(), String> {
    for (signal, patience) in [(Signal::SIGTERM, POLITENESS), (Signal::SIGKILL, DYING)] {
        if process::signal(process, Some(signal)).is_err() {
            return Ok(()); // it has ended
        }
        if tokio::time::timeout(patience, ended(process)).await.is_ok() {
            return Ok(());
        }
    }
    Err("does not die of SIGKILL".into())
}

fn name(plugin: &str, key: &str) -> String {
    format!("{plugin}/{key}")
}

fn check_key(key: &str) -> Result<(), DriverError> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@".contains(&byte);
    if key.is_empty() || key.len() > 100 || key.starts_with('.') || !key.bytes().all(valid) {
        return Err(DriverError::new(Code::InvalidConfig, format!("`{key}` is no key for a service")));
    }
    Ok(())
}
