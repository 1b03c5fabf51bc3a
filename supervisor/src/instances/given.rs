//! What a running instance was given, and how it is brought to what it should have.
//!
//! What was given is stored with what runs of it. A change is the difference between that and what its record and profiles
//! come to now; it is marked before it begins and noted when it is done, so that one that fails, or that a crash of hulld
//! cuts, is seen by the next.

use std::sync::Arc;

use hull_plugin::network::Attachment;
use hull_plugin::{ConfigMap, DeviceName, Handle, NetworkNamespaceFd, OperationId, UserNamespaceFd};
use serde::{Deserialize, Serialize};

use super::model::{Devices, Record};
use super::registry::{Entry, Running, RunningRow};
use super::{cgroup, devices, expand, idmap, store};
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Given {
    limits: ConfigMap,
    pub(super) devices: Devices,
}

/// No device and no limit has this key: what is marked with it equals nothing that is wanted.
const UNSURE: &str = "unsure";

impl Given {
    /// From the expanded configuration and devices.
    pub(super) fn new(config: &ConfigMap, devices: Devices) -> Self {
        let limits = config.iter().filter(|(key, _)| key.starts_with("limits."));
        Self { limits: limits.map(|(key, value)| (key.clone(), value.clone())).collect(), devices }
    }

    /// What the record and its profiles come to.
    pub(super) fn wanted(hull: &Hull, record: &Record) -> Self {
        let (config, devices) = expand::expand(hull, record);
        Self::new(&config, devices)
    }

    fn mark_limits(&mut self) {
        self.limits.insert(UNSURE.into(), String::new());
    }

    /// The device is about to come or go, and may be half there.
    fn mark(&mut self, name: &str, device: &ConfigMap) {
        self.devices.insert(name.to_owned(), device.clone());
        self.devices.entry(name.to_owned()).or_default().insert(UNSURE.into(), String::new());
    }

    /// The devices of this that `other` has not, or not so.
    fn beside<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (&'a String, &'a ConfigMap)> {
        expand::effective(&self.devices).filter(|(name, device)| other.devices.get(*name) != Some(*device))
    }
}

/// Brings a running instance from what it was given to what it should have now. The caller holds its
/// [`super::busy::Busy`].
pub(super) async fn apply(hull: &Hull, entry: &Arc<Entry>) -> Result<(), ApiError> {
    let live = entry.live();
    let Some(running) = live.running() else { return Ok(()) };
    let record = entry.record();
    let (given, wanted) = (running.row().given, Given::wanted(hull, &record));
    let change = Change { hull, entry, record: &record, running, operation: OperationId::random() };
    if given.limits != wanted.limits {
        change.note(|row, _| row.given.mark_limits()).await?;
        cgroup::set_limits(hull, &record, &wanted.limits)?;
        change.note(|row, _| row.given.limits.clone_from(&wanted.limits)).await?;
    }
    let _inside = hull.gates.enter([Site::Networks]).await;
    for (name, device) in given.beside(&wanted) {
        let removed = change.remove(name, device).await;
        removed.map_err(|error| error.context(format!("Failed to remove device \"{name}\"")))?;
    }
    let nics: Vec<_> = expand::of_kind(&wanted.devices, "nic").into_keys().collect();
    for (name, device) in wanted.beside(&given) {
        let index = nics.iter().position(|nic| *nic == name).unwrap_or_default();
        let added = change.add(name, device, index).await;
        added.map_err(|error| error.context(format!("Failed to start device \"{name}\"")))?;
    }
    // Those that are masked are neither there nor gone.
    change.note(|row, _| row.given.devices = wanted.devices).await?;
    Ok(())
}

/// One change of a running instance's devices.
struct Change<'a> {
    hull: &'a Hull,
    entry: &'a Entry,
    record: &'a Record,
    running: &'a Arc<Running>,
    operation: OperationId,
}

impl Change<'_> {
    async fn remove(&self, name: &str, device: &ConfigMap) -> Result<(), ApiError> {
        self.note(|row, _| row.given.mark(name, device)).await?;
        let instance = self.record.name.id();
        match expand::kind(device) {
            "nic" => {
                let handle = self.running.row().nics.get(name).map(|nic| nic.handle.clone());
                self.detach_nic(name, device, handle.as_ref()).await?;
            }
            "disk" if !expand::is_root_disk(device) => {
                let path = device.get("path").cloned().unwrap_or_default();
                let path = if path.starts_with('/') { path } else { format!("/{path}") };
                let driver = self.hull.plugins.instance(&self.record.driver)?;
                driver.detach_mount(&self.operation, &instance, &path).await?;
            }
            _ => {}
        }
        let gone = |row: &mut RunningRow, record: &mut Record| {
            row.given.devices.remove(name);
            if row.nics.remove(name).is_some() {
                record.config.remove(&host_name_key(name));
            }
        };
        self.note(gone).await?;
        Ok(())
    }

    async fn detach_nic(&self, name: &str, device: &ConfigMap, handle: Option<&Handle>) -> Result<(), ApiError> {
        let driver = self.hull.networks.handle_for_nic(self.hull, device).await?;
        let handle = handle.cloned();
        driver.detach_nic(&self.operation, &self.record.name.id(), &DeviceName::new(name)?, &handle).await?;
        Ok(())
    }

    async fn add(&self, name: &str, device: &ConfigMap, index: usize) -> Result<(), ApiError> {
        self.note(|row, _| row.given.mark(name, device)).await?;
        let mut attached: Option<Attachment> = None;
        match expand::kind(device) {
            "nic" => {
                let namespace = NetworkNamespaceFd::new(self.namespace("net")?);
                let nic = (name, device, index);
                attached = Some(devices::attach_nic(self.hull, self.record, nic, &namespace, &self.operation).await?);
            }
            "disk" if !expand::is_root_disk(device) => {
                let user_namespace = devices::is_shifted(device).then(|| self.user_namespace()).transpose()?;
                if let Some((spec, mount)) = devices::disk_mount(name, device, user_namespace.as_ref()).await? {
                    let driver = self.hull.plugins.instance(&self.record.driver)?;
                    driver.attach_mount(&self.operation, &self.record.name.id(), &spec, &mount).await?;
                }
            }
            _ => {}
        }
        let there = |row: &mut RunningRow, record: &mut Record| {
            row.given.devices.insert(name.to_owned(), device.clone());
            if let Some(nic) = &attached {
                record.config.insert(host_name_key(name), nic.host_name.clone());
                row.nics.insert(name.to_owned(), nic.clone());
            }
        };
        let is_noted = self.note(there).await?;
        match attached {
            Some(nic) if !is_noted => self.detach_nic(name, device, Some(&nic.handle)).await,
            _ => Ok(()),
        }
    }

    /// What a later hulld must know, and what the client sees of it. `false`: the instance has ended meanwhile, and with it what
    /// there is to know.
    async fn note(&self, change: impl FnOnce(&mut RunningRow, &mut Record)) -> Result<bool, ApiError> {
        let _only = self.entry.rewriting().await;
        let (mut row, mut record) = (self.running.row(), (*self.entry.record()).clone());
        change(&mut row, &mut record);
        let stored = (row.clone(), record.clone());
        let written = self.hull.database.write(move |tx| {
            let runs = store::update_running(tx, &stored.0)?;
            if runs {
                store::update(tx, &stored.1)?;
            }
            Ok(runs)
        });
        let runs = written.await?;
        if runs {
            self.running.set_row(row);
            self.entry.set_record(record);
        }
        Ok(runs)
    }

    /// The running instance's own: its init may have entered another of its own making meanwhile, which says nothing about
    /// whose the host's files are.
    fn user_namespace(&self) -> Result<UserNamespaceFd, ApiError> {
        let namespace = UserNamespaceFd::new(self.namespace("user")?);
        let given = self.record.config.get("volatile.idmap.current");
        match idmap::of_process(self.running.pid) {
            Ok(map) if given.is_some_and(|given| *given == idmap::volatile(&map)) => Ok(namespace),
            _ => Err(ApiError::bad_request("The instance's init is in a user namespace of its own making")),
        }
    }

    /// A namespace of the running instance; its process is known to live by the descriptor Hull holds.
    fn namespace(&self, which: &str) -> Result<std::fs::File, ApiError> {
        let opened = std::fs::File::open(format!("/proc/{}/ns/{which}", self.running.pid));
        let alive = hull_sys::process::signal(&self.running.process, None);
        match (opened, alive) {
            (Ok(namespace), Ok(())) => Ok(namespace),
            _ => Err(ApiError::bad_request("Instance is not running")),
        }
    }
}

/// Whether [`host_name_key`] made it.
pub(super) fn is_host_name_key(key: &str) -> bool {
    key.starts_with("volatile.") && key.ends_with(".host_name")
}

pub(super) fn host_name_key(device: &str) -> String {
    format!("volatile.{device}.host_name")
}
