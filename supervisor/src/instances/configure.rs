//! Changing an instance: the record, and, when it runs, what it has.
//!
//! What a running instance was given is remembered ([`Entry::applied`]); a change is the difference between that and what
//! its record and profiles come to now. A change that cannot be applied is taken back before the client is told.

use std::sync::Arc;

use hull_api::InstancePut;
use hull_plugin::network::Attachment;
use hull_plugin::{ConfigMap, DeviceName, NetworkNamespaceFd, OperationId};

use super::model::{Devices, Record};
use super::registry::{Entry, Live, Running};
use super::{cgroup, create, devices, expand, store, validate};
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;

/// Replaces what a PUT may change. Hull's own notes (`volatile.*`) stay unless the client changes them by name.
pub(super) async fn replace(hull: &Hull, entry: &Arc<Entry>, put: InstancePut) -> Result<(), ApiError> {
    if !put.restore.is_empty() {
        return Err(ApiError::bad_request("Snapshots are not supported yet: nothing to restore"));
    }
    let old = entry.record();
    let mut new = (*old).clone();
    let notes = old.config.iter().filter(|(key, _)| key.starts_with("volatile."));
    new.config = notes.map(|(key, value)| (key.clone(), value.clone())).collect();
    new.config.extend(put.config);
    new.config.retain(|_, value| !value.is_empty());
    new.devices = validate::without_empty_keys(put.devices);
    new.profiles = create::existing_profiles(hull, put.profiles)?;
    new.description = put.description;
    new.ephemeral = put.ephemeral;
    check(hull, entry, &old, &new).await?;
    let (_, expanded) = expand::expand(hull, &new);
    create::fill_hwaddrs(&mut new.config, &expanded);
    store_record(hull, entry, new).await?;
    if let Err(error) = apply(hull, entry).await {
        store_record(hull, entry, (*old).clone()).await?;
        if let Err(again) = apply(hull, entry).await {
            tracing::warn!(instance = %old.name, error = %again, "cannot take a failed change back entirely");
        }
        return Err(error);
    }
    hull.events.lifecycle("instance-updated", &old.name.url());
    Ok(())
}

/// Refuses profiles that are not there.
pub(super) fn require_profiles(hull: &Hull, profiles: &[String]) -> Result<(), ApiError> {
    match profiles.iter().find(|name| hull.profiles.find(name).is_none()) {
        Some(_) => Err(ApiError::not_found("Profile not found")),
        None => Ok(()),
    }
}

/// What a PATCH makes of the current record.
pub(super) fn merged(record: &Record, patch: &serde_json::Value) -> Result<InstancePut, ApiError> {
    let current = InstancePut {
        architecture: record.architecture.clone(),
        config: record.config.clone(),
        devices: record.devices.clone(),
        ephemeral: record.ephemeral,
        profiles: record.profiles.clone(),
        restore: String::new(),
        stateful: record.stateful,
        description: record.description.clone(),
    };
    let internal = |error: serde_json::Error| ApiError::internal(error.to_string());
    let mut value = serde_json::to_value(current).map_err(internal)?;
    let fields = crate::api::object(patch)?;
    for (key, change) in fields {
        match (value.get_mut(key), change) {
            // Keys are merged one by one, devices as wholes.
            (Some(serde_json::Value::Object(now)), serde_json::Value::Object(change)) => now.extend(change.clone()),
            _ => value[key] = change.clone(),
        }
    }
    crate::api::typed(value)
}

/// A profile the instance uses has changed.
pub(super) async fn profile_changed(hull: &Hull, entry: &Arc<Entry>) -> Result<(), ApiError> {
    let mut record = (*entry.record()).clone();
    let (_, expanded) = expand::expand(hull, &record);
    create::fill_hwaddrs(&mut record.config, &expanded);
    if record != *entry.record() {
        store_record(hull, entry, record).await?;
    }
    apply(hull, entry).await
}

async fn check(hull: &Hull, entry: &Entry, old: &Record, new: &Record) -> Result<(), ApiError> {
    validate::config(hull, &new.config).await.map_err(|error| error.context("Invalid config"))?;
    validate::devices(hull, &new.devices).await.map_err(|error| error.context("Invalid devices"))?;
    validate::sources(&new.devices)?;
    let (_, devices) = expand::expand(hull, new);
    validate::expanded(&devices)?;
    let (_, before) = expand::expand(hull, old);
    let pool = |devices: &Devices| expand::root_disk(devices).and_then(|(_, disk)| disk.get("pool").cloned());
    if pool(&before).is_some() && pool(&devices).is_none() {
        let why = "Invalid expanded devices: Failed detecting root disk device: No root device could be found";
        return Err(ApiError::bad_request(why));
    }
    if pool(&before) != pool(&devices) {
        return Err(ApiError::bad_request(match entry.live() {
            Live::Stopped => "The root disk's pool cannot be changed; make a new instance in the other pool",
            _ => "Cannot change the root disk of a running instance",
        }));
    }
    Ok(())
}

async fn store_record(hull: &Hull, entry: &Entry, record: Record) -> Result<(), ApiError> {
    let stored = record.clone();
    hull.database.write(move |tx| store::update(tx, &stored)).await?;
    entry.set_record(record);
    Ok(())
}

/// Brings a running instance from what it was given to what it should have now.
async fn apply(hull: &Hull, entry: &Arc<Entry>) -> Result<(), ApiError> {
    let live = entry.live();
    let (Some(running), Some((old_config, old_devices))) = (live.running(), entry.applied()) else { return Ok(()) };
    let record = entry.record();
    let (config, devices) = expand::expand(hull, &record);
    let limited = |config: &ConfigMap| {
        config
            .iter()
            .filter(|(key, _)| key.starts_with("limits."))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<ConfigMap>()
    };
    if limited(&config) != limited(&old_config) {
        cgroup::set_limits(hull, &record, &config)?;
    }
    let _inside = hull.gates.enter([Site::Networks]).await;
    let change = Change { hull, entry, record: &record, running, operation: OperationId::random() };
    let gone = expand::effective(&old_devices).filter(|(name, device)| devices.get(*name) != Some(*device));
    for (name, device) in gone {
        change
            .remove(name, device)
            .await
            .map_err(|error| error.context(format!("Failed to remove device \"{name}\"")))?;
    }
    let nics = expand::of_kind(&devices, "nic").into_keys().cloned().collect::<Vec<_>>();
    let new = expand::effective(&devices).filter(|(name, device)| old_devices.get(*name) != Some(*device));
    for (name, device) in new {
        let index = nics.iter().position(|nic| nic == name).unwrap_or_default();
        change
            .add(name, device, index)
            .await
            .map_err(|error| error.context(format!("Failed to start device \"{name}\"")))?;
    }
    entry.set_applied(Some((config, devices)));
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
        let instance = self.record.name.id();
        match expand::kind(device) {
            "nic" => {
                let driver = self.hull.networks.handle_for_nic(self.hull, device).await?;
                let handle = self.running.row().nics.get(name).map(|nic| nic.handle.clone());
                driver.detach_nic(&self.operation, &instance, &DeviceName::new(name)?, &handle).await?;
                self.note_nic(name, None).await
            }
            "disk" if expand::is_root_disk(device) => Ok(()),
            "disk" => {
                let path = device.get("path").cloned().unwrap_or_default();
                let path = if path.starts_with('/') { path } else { format!("/{path}") };
                Ok(self
                    .hull
                    .plugins
                    .instance(&self.record.driver)?
                    .detach_mount(&self.operation, &instance, &path)
                    .await?)
            }
            _ => Ok(()),
        }
    }

    async fn add(&self, name: &str, device: &ConfigMap, index: usize) -> Result<(), ApiError> {
        match expand::kind(device) {
            "nic" => {
                let namespace = NetworkNamespaceFd::new(self.namespace("net")?);
                let nic = (name, device, index);
                let attached = devices::attach_nic(self.hull, self.record, nic, &namespace, &self.operation).await?;
                self.note_nic(name, Some(attached)).await
            }
            "disk" if expand::is_root_disk(device) => Ok(()),
            "disk" => {
                let Some((spec, mount)) = devices::disk_mount(name, device)? else { return Ok(()) };
                let driver = self.hull.plugins.instance(&self.record.driver)?;
                Ok(driver.attach_mount(&self.operation, &self.record.name.id(), &spec, &mount).await?)
            }
            _ => Ok(()),
        }
    }

    /// What a later hulld must know of a NIC that came or went, and what the client sees of it.
    async fn note_nic(&self, name: &str, attached: Option<Attachment>) -> Result<(), ApiError> {
        let mut row = self.running.row();
        let mut record = (*self.entry.record()).clone();
        let host_name = format!("volatile.{name}.host_name");
        match attached {
            Some(nic) => {
                record.config.insert(host_name, nic.host_name.clone());
                row.nics.insert(name.to_owned(), nic);
            }
            None => {
                record.config.remove(&host_name);
                row.nics.remove(name);
            }
        }
        let stored = (row.clone(), record.clone());
        let written = self.hull.database.write(move |tx| {
            store::set_running(tx, &stored.0)?;
            store::update(tx, &stored.1)
        });
        written.await?;
        self.running.set_row(row);
        self.entry.set_record(record);
        Ok(())
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
