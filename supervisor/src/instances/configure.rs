//! Changing an instance: the record, and, when it runs, what it has.
//!
//! A change that cannot be applied is taken back before the client is told.

use std::sync::Arc;

use hull_api::{Config, InstancePut};

use super::model::Record;
use super::registry::{Entry, Live};
use super::{create, expand, given, store, validate};
use crate::api::ApiError;
use crate::hull::Hull;

/// Replaces what a PUT may change. Hull's own notes (`volatile.*`) stay unless the client changes them by name: they differ
/// from those in `old`, which `put` was made from.
pub(super) async fn replace(
    hull: &Hull,
    entry: &Arc<Entry>,
    old: Arc<Record>,
    put: InstancePut,
) -> Result<(), ApiError> {
    if !put.restore.is_empty() {
        return Err(ApiError::bad_request("Snapshots are not supported yet: nothing to restore"));
    }
    let profiles = create::existing_profiles(hull, put.profiles.clone())?;
    check(hull, entry, &old, &replaced(hull, &old, &put, &profiles)).await?;
    let mut put = put;
    // Notes that the client only gave back are what they are by now.
    put.config.retain(|key, value| !(key.starts_with("volatile.") && old.config.get(key) == Some(value)));
    rewrite(hull, entry, |now| replaced(hull, now, &put, &profiles)).await?;
    if let Err(error) = given::apply(hull, entry).await {
        rewrite(hull, entry, |now| Record { config: taken_back(&old.config, &now.config), ..(*old).clone() }).await?;
        if let Err(again) = given::apply(hull, entry).await {
            tracing::warn!(instance = %old.name, error = %again, "cannot take a failed change back entirely");
        }
        return Err(error);
    }
    hull.events.lifecycle("instance-updated", &old.name.url());
    Ok(())
}

fn replaced(hull: &Hull, old: &Record, put: &InstancePut, profiles: &[String]) -> Record {
    let mut new = old.clone();
    let notes = old.config.iter().filter(|(key, _)| key.starts_with("volatile."));
    new.config = notes.map(|(key, value)| (key.clone(), value.clone())).collect();
    new.config.extend(put.config.clone());
    new.config.retain(|_, value| !value.is_empty());
    new.devices = validate::without_empty_keys(put.devices.clone());
    new.profiles = profiles.to_vec();
    new.description.clone_from(&put.description);
    new.ephemeral = put.ephemeral;
    with_hwaddrs(hull, &new)
}

/// The old configuration, but what Hull noted about the running instance meanwhile: it may have ended.
fn taken_back(old: &Config, now: &Config) -> Config {
    let is_of_running = |key: &str| key == "volatile.last_state.power" || given::is_host_name_key(key);
    let settings = old.iter().filter(|(key, _)| !is_of_running(key));
    let notes = now.iter().filter(|(key, _)| is_of_running(key));
    settings.chain(notes).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn with_hwaddrs(hull: &Hull, record: &Record) -> Record {
    let mut record = record.clone();
    let (_, expanded) = expand::expand(hull, &record);
    create::fill_hwaddrs(&mut record.config, &expanded);
    record
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
            // What a client's language has no value for; nothing is taken away by that.
            (_, serde_json::Value::Null) => {}
            // Keys are merged one by one, devices as wholes.
            (Some(serde_json::Value::Object(now)), serde_json::Value::Object(change)) => now.extend(change.clone()),
            _ => value[key] = change.clone(),
        }
    }
    crate::api::typed(value)
}

/// A profile the instance uses has changed. The caller holds the instance's [`super::busy::Busy`].
pub(super) async fn follow_profiles(hull: &Hull, entry: &Arc<Entry>) -> Result<(), ApiError> {
    rewrite(hull, entry, |record| with_hwaddrs(hull, record)).await?;
    given::apply(hull, entry).await
}

async fn check(hull: &Hull, entry: &Entry, old: &Record, new: &Record) -> Result<(), ApiError> {
    validate::config(hull, &new.config).await.map_err(|error| error.context("Invalid config"))?;
    validate::devices(hull, &new.devices).await.map_err(|error| error.context("Invalid devices"))?;
    validate::sources(&new.devices).await?;
    let (_, devices) = expand::expand(hull, new);
    validate::expanded(&devices)?;
    let (_, before) = expand::expand(hull, old);
    let (before, after) = (expand::root_pool(&before), expand::root_pool(&devices));
    if before.is_some() && after.is_none() {
        let why = "Invalid expanded devices: Failed detecting root disk device: No root device could be found";
        return Err(ApiError::bad_request(why));
    }
    // Back to where it is: a profile may have said otherwise meanwhile.
    if before != after && after != old.pool.as_ref().map(ToString::to_string) {
        return Err(ApiError::bad_request(match entry.live() {
            Live::Stopped => "The root disk's pool cannot be changed; make a new instance in the other pool",
            _ => "Cannot change the root disk of a running instance",
        }));
    }
    Ok(())
}

async fn rewrite(hull: &Hull, entry: &Entry, change: impl FnOnce(&Record) -> Record) -> Result<(), ApiError> {
    let _only = entry.rewriting().await;
    let old = entry.record();
    let new = change(&old);
    if new == *old {
        return Ok(());
    }
    let stored = new.clone();
    hull.database.write(move |tx| store::update(tx, &stored)).await?;
    entry.set_record(new);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_does_not_bring_an_ended_instance_to_life() {
        let config = |pairs: &[(&str, &str)]| -> Config {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let old = config(&[
            ("limits.cpu", "1"),
            ("volatile.eth0.hwaddr", "00:16:3e:00:00:01"),
            ("volatile.eth0.host_name", "veth1"),
            ("volatile.last_state.power", "RUNNING"),
        ]);
        let now = config(&[
            ("limits.cpu", "2"),
            ("volatile.eth0.hwaddr", "00:16:3e:00:00:02"),
            ("volatile.last_state.power", "STOPPED"),
        ]);
        let expected = config(&[
            ("limits.cpu", "1"),
            ("volatile.eth0.hwaddr", "00:16:3e:00:00:01"),
            ("volatile.last_state.power", "STOPPED"),
        ]);
        assert_eq!(taken_back(&old, &now), expected);
    }
}
