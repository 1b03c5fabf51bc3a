//! What follows the end of an instance, whoever caused it: everything it held is given back, and it is Stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hull_plugin::network::Attachment;
use hull_plugin::{Code, DeviceName, OperationId};

use super::model::{Devices, Record};
use super::registry::{Entry, Live, Running, RunningRow};
use super::{cgroup, delete, expand, given, start, store};
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::sys::process_ended;

/// The wait status of an init whose guest asked for a reboot: the kernel ends it with SIGHUP (`man 2 reboot`).
const REBOOTED: i32 = nix::libc::SIGHUP;

/// Waits for the end of the instance's first process, then settles.
pub(super) fn watch(hull: &Hull, entry: &Arc<Entry>, running: Arc<Running>) {
    let (hull_for_task, entry) = (hull.clone(), entry.clone());
    hull.tasks.spawn(async move {
        if let Err(error) = process_ended(&running.process).await {
            tracing::error!(instance = %entry.record().name, %error, "cannot watch the instance's process");
            return;
        }
        settle(&hull_for_task, &entry, &running).await;
    });
}

/// Gives back what an ended instance held. Does nothing for one that was settled, or started again, meanwhile.
pub(super) async fn settle(hull: &Hull, entry: &Arc<Entry>, ended: &Arc<Running>) {
    let _one_at_a_time = entry.settling.lock().await;
    if !entry.live().running().is_some_and(|now| Arc::ptr_eq(now, ended)) {
        return;
    }
    let record = entry.record();
    let status = exit_status(hull, ended).await;
    tracing::info!(instance = %record.name, ?status, "the instance has ended");
    let next = Next::after(status, entry.verb(), record.ephemeral);
    let row = ended.row();
    release(hull, &record, &row.given.devices, &row.nics, &OperationId::random()).await;
    note_stopped(hull, entry).await;
    follow_up(hull, entry, next).await;
}

/// The same for one that ended while there was no hulld to see it.
pub(super) async fn settle_missed(hull: &Hull, entry: &Arc<Entry>, row: &RunningRow) {
    let record = entry.record();
    let status = hull.keeper.exit_status(row.process.pid, row.process.started).await.ok().flatten();
    tracing::info!(instance = %record.name, ?status, "the instance has ended meanwhile");
    // The end of the host is not the guest's: it is to run again.
    let next = match row.process.is_of_this_boot() {
        true => Next::after(status, None, record.ephemeral),
        false => Next::Stays,
    };
    release(hull, &record, &row.given.devices, &row.nics, &OperationId::random()).await;
    note_stopped(hull, entry).await;
    hull.instances.recovering(std::slice::from_ref(&record.name), false);
    follow_up(hull, entry, next).await;
}

/// What becomes of an instance that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Stays,
    /// Its guest asked for a reboot.
    StartsAgain,
    /// It is ephemeral.
    IsDeleted,
}

impl Next {
    /// `verb`: what is at work on it.
    fn after(status: Option<i32>, verb: Option<&str>, ephemeral: bool) -> Self {
        match verb {
            Some("restart") => Self::Stays, // which starts it itself
            // Who stops it decides, whatever the guest made of its signal.
            verb if status == Some(REBOOTED) && verb != Some("stop") => Self::StartsAgain,
            _ if ephemeral => Self::IsDeleted,
            _ => Self::Stays,
        }
    }
}

async fn exit_status(hull: &Hull, ended: &Running) -> Option<i32> {
    // Its parent knows best: what the kernel tells of a reaped init is not what a reboot made of its status.
    let identity = ended.row().process;
    if let Ok(Some(status)) = hull.keeper.exit_status(identity.pid, identity.started).await {
        return Some(status);
    }
    let process = ended.process.try_clone().ok()?.into_owned();
    hull.keeper.wait(&process).await.ok().flatten()
}

/// Every part is given back whatever becomes of the others; what cannot be is logged and collected later.
pub(super) async fn release(
    hull: &Hull,
    record: &Record,
    devices: &Devices,
    nics: &BTreeMap<String, Attachment>,
    operation: &OperationId,
) {
    let told = |part: &str, result: Result<(), ApiError>| {
        if let Err(error) = result {
            tracing::warn!(instance = %record.name, part, %error, "cannot give back what an ended instance held");
        }
    };
    let driver_then_nics = async {
        let _inside = hull.gates.enter([Site::Networks]).await;
        let cleaned = match hull.plugins.instance(&record.driver) {
            Ok(driver) => driver.cleanup(operation, &record.name.id()).await.map_err(ApiError::from),
            Err(error) => Err(error.into()),
        };
        told("driver", cleaned);
        // Only now the network namespace is gone, and its interfaces with it at no cost.
        told("nics", detach_nics(hull, record, devices, nics, operation).await);
    };
    let root = async { told("root", release_root(hull, record, operation).await) };
    tokio::join!(driver_then_nics, root);
}

pub(super) async fn release_root(hull: &Hull, record: &Record, operation: &OperationId) -> Result<(), ApiError> {
    let removed = cgroup::remove(hull, record).await;
    if let Some(pool) = &record.pool {
        let Some(pool) = hull.storage.find(pool.as_str()) else { return removed };
        match hull.storage.handle(hull, &pool).await {
            Ok(handle) => match handle.unmount_volume(operation, &record.name.volume()).await {
                // Its directory is there, but holds no pool, as when the disk is not mounted; or the volume is gone.
                Err(error) if error.code == Code::NotFound => not_unmounted(record, &error),
                unmounted => unmounted?,
            },
            Err(error) => not_unmounted(record, &error),
        }
    }
    removed
}

/// Nothing can be mounted of a pool that is away, and the instance must not stay as it is until it comes back.
fn not_unmounted(record: &Record, error: &dyn std::fmt::Display) {
    tracing::info!(instance = %record.name, %error, "not unmounted: the pool is away");
}

pub(super) async fn detach_nics(
    hull: &Hull,
    record: &Record,
    devices: &Devices,
    nics: &BTreeMap<String, Attachment>,
    operation: &OperationId,
) -> Result<(), ApiError> {
    let mut first = Ok(());
    for (name, nic) in expand::of_kind(devices, "nic") {
        let detached = async {
            let driver = hull.networks.handle_for_nic(hull, nic).await?;
            let handle = nics.get(name).map(|attachment| attachment.handle.clone());
            Ok::<_, ApiError>(driver.detach_nic(operation, &record.name.id(), &DeviceName::new(name)?, &handle).await?)
        };
        first = first.and(detached.await);
    }
    first
}

async fn note_stopped(hull: &Hull, entry: &Entry) {
    let _only = entry.rewriting().await;
    let mut record = (*entry.record()).clone();
    let power = if entry.stops_with_host.load(Ordering::Relaxed) { "RUNNING" } else { "STOPPED" };
    record.config.insert("volatile.last_state.power".into(), power.into());
    record.config.retain(|key, _| !given::is_host_name_key(key));
    let stored = record.clone();
    let written = hull.database.write(move |tx| {
        store::set_stopped(tx, stored.name.as_str())?;
        store::update(tx, &stored)
    });
    match written.await {
        Ok(()) => entry.set_record(record),
        Err(error) => tracing::error!(instance = %record.name, %error, "cannot note that the instance has stopped"),
    }
}

/// Makes it Stopped, which whoever stops it waits for, and what comes of that.
async fn follow_up(hull: &Hull, entry: &Arc<Entry>, next: Next) {
    let record = entry.record();
    match next {
        Next::Stays => {
            entry.set_live(Live::Stopped);
            hull.events.lifecycle("instance-stopped", &record.name.url());
        }
        Next::StartsAgain => {
            entry.set_live(Live::Stopped);
            start_again(hull, entry, &record).await;
        }
        Next::IsDeleted => {
            hull.events.lifecycle("instance-stopped", &record.name.url());
            // Before anybody could start it; a verb that waits for its end keeps the others away itself.
            let _busy = entry.claim("delete").ok();
            if let Err(error) = delete::delete_ended(hull, entry, &OperationId::random()).await {
                tracing::error!(instance = %record.name, %error, "cannot delete the ephemeral instance after its end");
            }
            entry.set_live(Live::Stopped);
        }
    }
}

async fn start_again(hull: &Hull, entry: &Arc<Entry>, record: &Record) {
    let Ok(_busy) = entry.claim_when_free("start").await else { return }; // deleted
    if entry.live().running().is_some() {
        return; // somebody was quicker
    }
    match start::start(hull, entry, &OperationId::random()).await {
        Ok(()) => hull.events.lifecycle("instance-restarted", &record.name.url()),
        Err(error) => {
            tracing::error!(instance = %record.name, %error, "cannot start the instance again after its reboot")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_at_work_decides_what_follows_an_end() {
        for ephemeral in [false, true] {
            assert_eq!(Next::after(Some(REBOOTED), Some("restart"), ephemeral), Next::Stays);
            assert_eq!(Next::after(Some(0), Some("restart"), ephemeral), Next::Stays);
            assert_eq!(Next::after(Some(REBOOTED), None, ephemeral), Next::StartsAgain);
            assert_eq!(Next::after(Some(REBOOTED), Some("exec"), ephemeral), Next::StartsAgain);
        }
        assert_eq!(Next::after(Some(REBOOTED), Some("stop"), true), Next::IsDeleted);
        assert_eq!(Next::after(None, None, true), Next::IsDeleted);
        assert_eq!(Next::after(Some(REBOOTED), Some("stop"), false), Next::Stays);
        assert_eq!(Next::after(Some(9), None, false), Next::Stays);
    }
}
