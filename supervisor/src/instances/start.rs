//! Starting an instance: the one plan that spans all kinds of plugin.
//!
//! ```text
//! Stopped ─ prepare ─ connect ─ init ─▶ Running
//!    ▲─────── undo, last step first ──│ any failure, or a crash of hulld
//! ```
//! `prepare`: cgroup, namespaces, and the root volume at the same time. `connect`: NICs into the network namespace, disks
//! as detached mounts. `init`: the first process. Descriptors found by one step are handed to the next and are not part of
//! what the journal keeps: undoing needs none of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Utc;
use hull_plugin::instance::{IdMap, InstanceSpec, Preparation, Prepared, Started};
use hull_plugin::network::Attachment;
use hull_plugin::{ConfigMap, MountFd, OperationId, UserNamespaceFd};
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use super::given::Given;
use super::identity::ProcessIdentity;
use super::model::{Devices, InstanceName, Record};
use super::registry::{Entry, Live, Running, RunningRow};
use super::{cgroup, create, devices, expand, given, idmap, logs, settle, store, validate};
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::plans::{self, AfterCrash, Plan};
use crate::warnings::Kind;

/// Starts a stopped instance; the caller holds its [`super::busy::Busy`].
pub(super) async fn start(hull: &Hull, entry: &Arc<Entry>, operation: &OperationId) -> Result<(), ApiError> {
    if entry.live().running().is_some() {
        return Err(ApiError::bad_request("The instance is already running"));
    }
    let mut record = (*entry.record()).clone();
    let (config, devices) = expand::expand(hull, &record);
    validate::expanded(&devices)?;
    create::fill_hwaddrs(&mut record.config, &devices);
    let map = idmap::default_map();
    record.config.insert("volatile.idmap.current".into(), idmap::volatile(&map));
    record.config.insert("volatile.last_state.power".into(), "RUNNING".into());
    record.config.remove("volatile.apply_template");
    record.last_used_at = Utc::now().timestamp();
    let name = record.name.clone();
    let driver = hull.plugins.instance(&record.driver)?;
    let mut operation = operation.clone();
    let mut attempts = 0;
    let started = loop {
        let (record, config, devices) = (record.clone(), config.clone(), devices.clone());
        let plan = Start { record, config, devices, map: map.clone(), found: Arc::default() };
        let before = driver.process.ready().await?.generation;
        let started = plans::execute(plan, hull, &operation).await;
        attempts += 1;
        // What the driver had prepared goes with its process: the failed attempt is undone, and another may do better.
        let replaced = async || driver.process.ready().await.is_ok_and(|session| session.generation != before);
        if started.is_ok() || attempts == ATTEMPTS || !replaced().await {
            break started;
        }
        tracing::info!(instance = %name, "the driver's process was replaced in the middle of the start: starting once more");
        operation = OperationId::random();
    };
    if let Err(error) = &started {
        logs::note_failure(hull, &name, error).await;
    }
    started
}

/// How often a start is begun while the driver's process changes under it.
const ATTEMPTS: u32 = 3;

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) record: Record,
    /// Expanded.
    config: ConfigMap,
    devices: Devices,
    map: IdMap,
    #[serde(skip)]
    found: Arc<std::sync::Mutex<Found>>,
}

/// What the steps hand on.
#[derive(Default)]
struct Found {
    prepared: Option<Prepared>,
    root: Option<MountFd>,
    nics: BTreeMap<String, Attachment>,
    started: Option<Started>,
}

impl Start {
    fn name(&self) -> &InstanceName {
        &self.record.name
    }

    async fn prepare(&mut self, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        let instance = self.name().id();
        let cgroup = cgroup::make(hull, &self.record, &self.config, &self.map)?;
        let preparation = Preparation { instance, idmap: self.map.clone(), cgroup };
        let driver = hull.plugins.instance(&self.record.driver)?;
        let (prepared, root) =
            tokio::join!(driver.prepare(operation, &preparation), devices::mount_root(hull, &self.record, operation));
        let (prepared, root) = (prepared?, root?);
        if let Some(user_namespace) = &prepared.user_namespace {
            devices::idmap(&root, user_namespace)?;
        }
        self.found(|found| {
            found.prepared = Some(prepared);
            found.root = Some(root);
        });
        Ok(())
    }

    async fn connect(&mut self, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        let (network_namespace, user_namespace) = self.found(|found| {
            let prepared =
                found.prepared.as_ref().ok_or_else(|| ApiError::internal("the plan has lost what it prepared"))?;
            let copies = prepared.network_namespace.try_clone().and_then(|network| {
                Ok((network, prepared.user_namespace.as_ref().map(UserNamespaceFd::try_clone).transpose()?))
            });
            copies.map_err(|error| ApiError::internal(format!("cannot duplicate a descriptor: {error}")))
        })?;
        let nics = devices::attach_nics(hull, &self.record, &self.devices, &network_namespace, operation).await?;
        self.found(|found| found.nics = nics);
        let driver = hull.plugins.instance(&self.record.driver)?;
        for (name, disk) in expand::of_kind(&self.devices, "disk") {
            let Some((spec, mount)) = devices::disk_mount(name, disk, user_namespace.as_ref()).await? else { continue };
            driver.attach_mount(operation, &self.name().id(), &spec, &mount).await?;
        }
        Ok(())
    }

    async fn init(&mut self, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        let root = self.found(|found| found.root.take());
        let root = root.ok_or_else(|| ApiError::internal("the plan has lost the root mount"))?;
        let spec = InstanceSpec {
            instance: self.name().id(),
            hostname: self.name().to_string(),
            architecture: self.record.architecture.clone(),
            config: self.config.clone(),
            init: Vec::new(),
        };
        let driver = hull.plugins.instance(&self.record.driver)?;
        let started = driver.start(operation, &spec, &root).await;
        let started = started.map_err(|error| ApiError::from(error).context("Failed to run the instance"))?;
        for (device, nic) in self.found(|found| found.nics.clone()) {
            self.record.config.insert(given::host_name_key(&device), nic.host_name);
        }
        self.found(|found| found.started = Some(started));
        Ok(())
    }

    fn found<T>(&self, with: impl FnOnce(&mut Found) -> T) -> T {
        with(&mut self.found.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn running_row(&self) -> Option<RunningRow> {
        self.found(|found| {
            let started = found.started.as_ref()?;
            Some(RunningRow {
                instance: self.record.name.to_string(),
                handle: started.handle.clone(),
                process: ProcessIdentity::of(started.pid),
                nics: found.nics.clone(),
                given: Given::new(&self.config, self.devices.clone()),
            })
        })
    }
}

impl Plan for Start {
    const KIND: &'static str = "start-instance";
    const STEPS: &'static [&'static str] = &["prepare", "connect", "init"];
    const AFTER_CRASH: AfterCrash = AfterCrash::Undo;

    fn sites(&self) -> Vec<Site> {
        vec![Site::Networks]
    }

    async fn run(&mut self, step: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        match step {
            "prepare" => self.prepare(hull, operation).await,
            "connect" => self.connect(hull, operation).await,
            _ => self.init(hull, operation).await,
        }
    }

    async fn undo(&mut self, step: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        // A later start has brought it up, and owns everything by now.
        if hull.instances.get(self.name()).is_ok_and(|entry| entry.live().running().is_some()) {
            return Ok(());
        }
        let driver = hull.plugins.instance(&self.record.driver)?;
        let instance = self.name().id();
        if step == "init" {
            driver.kill(operation, &instance).await?;
        }
        // Whichever step failed: what was prepared is not for the next start, and its NICs go with its namespaces.
        driver.cleanup(operation, &instance).await?;
        match step {
            "prepare" => settle::release_root(hull, &self.record, operation).await,
            "connect" => settle::detach_nics(hull, &self.record, &self.devices, &BTreeMap::new(), operation).await,
            _ => Ok(()),
        }
    }

    fn commit(&self, tx: &Transaction) -> rusqlite::Result<()> {
        store::update(tx, &self.record)?;
        self.running_row().map_or(Ok(()), |row| store::set_running(tx, &row))
    }

    fn published(self, hull: &Hull) {
        let (Some(row), Some(started)) = (self.running_row(), self.found(|found| found.started.take())) else { return };
        let Ok(entry) = hull.instances.get(&self.record.name) else { return };
        let url = self.record.name.url();
        entry.set_record(self.record);
        let running = Running::new(started.pid, started.process, row);
        entry.set_live(Live::Running(running.clone()));
        settle::watch(hull, &entry, running);
        hull.warnings.resolve(Kind::AutostartFailed, &url);
        hull.events.lifecycle("instance-started", &url);
    }
}
