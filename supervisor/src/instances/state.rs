//! Rendering instances: the record, the expansion, and what a running one is doing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hull_api::{
    Instance, InstanceFull, InstanceState, InstanceStateCpu, InstanceStateMemory, InstanceStateNetwork,
    InstanceStateNetworkAddress, InstanceStateNetworkCounters, Timestamp,
};
use hull_plugin::network::InterfaceState;

use super::expand;
use super::registry::Entry;
use crate::api::ApiError;
use crate::hull::Hull;

/// Drivers that answer nothing for so long make no list wait: what is known without them is shown.
const PATIENCE: Duration = Duration::from_millis(30);

/// The record as the API shows it.
pub(super) fn instance(hull: &Hull, entry: &Entry) -> Instance {
    let record = entry.record();
    let (expanded_config, expanded_devices) = expand::expand(hull, &record);
    let status = entry.live().status();
    Instance {
        architecture: record.architecture.clone(),
        config: record.config.clone(),
        devices: record.devices.clone(),
        ephemeral: record.ephemeral,
        profiles: record.profiles.clone(),
        restore: String::new(),
        stateful: record.stateful,
        description: record.description.clone(),
        created_at: timestamp(record.created_at),
        expanded_config,
        expanded_devices,
        name: record.name.to_string(),
        status: status.to_string(),
        status_code: status,
        last_used_at: timestamp(record.last_used_at),
        location: "none".to_owned(),
        kind: record.kind.clone(),
        project: "default".to_owned(),
    }
}

/// Records with everything that belongs to them. The wait ends when no driver has answered for [`PATIENCE`].
pub(super) async fn full(hull: &Hull, entries: &[Arc<Entry>]) -> Vec<InstanceFull> {
    let ask = |(index, entry): (usize, &Arc<Entry>)| {
        let entry = entry.clone();
        async move { (index, state(hull, &entry).await) }
    };
    let mut asked: FuturesUnordered<_> = entries.iter().enumerate().map(ask).collect();
    let mut found = BTreeMap::new();
    while let Ok(Some((index, answer))) = tokio::time::timeout(PATIENCE, asked.next()).await {
        match answer {
            Ok(state) => _ = found.insert(index, state),
            Err(error) => tracing::debug!(%error, "state without the driver's part"),
        }
    }
    let render = |(index, entry): (usize, &Arc<Entry>)| {
        whole(instance(hull, entry), found.remove(&index).unwrap_or_else(|| known_state(entry)))
    };
    entries.iter().enumerate().map(render).collect()
}

fn whole(one: Instance, state: InstanceState) -> InstanceFull {
    InstanceFull {
        architecture: one.architecture,
        config: one.config,
        devices: one.devices,
        ephemeral: one.ephemeral,
        profiles: one.profiles,
        restore: one.restore,
        stateful: one.stateful,
        description: one.description,
        created_at: one.created_at,
        expanded_config: one.expanded_config,
        expanded_devices: one.expanded_devices,
        name: one.name,
        status: one.status,
        status_code: one.status_code,
        last_used_at: one.last_used_at,
        location: one.location,
        kind: one.kind,
        project: one.project,
        backups: Vec::new(),
        state: Some(state),
        snapshots: Vec::new(),
    }
}

/// What the instance is doing.
pub(crate) async fn state(hull: &Hull, entry: &Entry) -> Result<InstanceState, ApiError> {
    let live = entry.live();
    let Some(running) = live.running() else { return Ok(bare_state(entry)) };
    let record = entry.record();
    let driver = hull.plugins.instance(&record.driver)?;
    let found = driver.state(&record.name.id()).await?;
    let host_names = running.row().nics;
    let (config, devices) = expand::expand(hull, &record);
    let nics = expand::of_kind(&devices, "nic");
    let host_name_of = |interface: &InterfaceState| {
        let owner = nics.iter().find(|(name, nic)| {
            let hwaddr = nic.get("hwaddr").or_else(|| config.get(&format!("volatile.{name}.hwaddr")));
            hwaddr.is_some_and(|hwaddr| *hwaddr == interface.hwaddr)
        });
        owner.and_then(|(name, _)| host_names.get(*name)).map(|nic| nic.host_name.clone()).unwrap_or_default()
    };
    let network = found
        .network
        .iter()
        .map(|interface| (interface.name.clone(), self::network(interface, host_name_of(interface))));
    let state = InstanceState {
        status: live.status().to_string(),
        status_code: live.status(),
        disk: BTreeMap::new(),
        memory: InstanceStateMemory {
            usage: signed(found.memory_bytes),
            usage_peak: signed(found.memory_peak_bytes),
            swap_usage: signed(found.swap_bytes),
            swap_usage_peak: signed(found.swap_peak_bytes),
        },
        network: network.collect(),
        pid: running.pid.into(),
        processes: found.processes,
        cpu: InstanceStateCpu { usage: found.cpu_nanoseconds },
    };
    entry.note_state(state.clone());
    Ok(state)
}

/// What was seen last of the running instance, for want of anything newer; else what hulld knows itself.
fn known_state(entry: &Entry) -> InstanceState {
    let bare = bare_state(entry);
    match entry.last_state().filter(|last| last.pid == bare.pid && bare.pid != 0) {
        Some(last) => InstanceState { status: bare.status, status_code: bare.status_code, ..last },
        None => bare,
    }
}

fn bare_state(entry: &Entry) -> InstanceState {
    let live = entry.live();
    InstanceState {
        status: live.status().to_string(),
        status_code: live.status(),
        pid: live.running().map_or(0, |running| running.pid.into()),
        processes: if live.running().is_some() { -1 } else { 0 },
        ..InstanceState::default()
    }
}

fn network(interface: &InterfaceState, host_name: String) -> InstanceStateNetwork {
    let counters = &interface.counters;
    InstanceStateNetwork {
        addresses: interface
            .addresses
            .iter()
            .map(|one| InstanceStateNetworkAddress {
                family: one.family.clone(),
                address: one.address.clone(),
                netmask: one.netmask.clone(),
                scope: one.scope.clone(),
            })
            .collect(),
        counters: InstanceStateNetworkCounters {
            bytes_received: signed(counters.bytes_received),
            bytes_sent: signed(counters.bytes_sent),
            packets_received: signed(counters.packets_received),
            packets_sent: signed(counters.packets_sent),
            errors_received: signed(counters.errors_received),
            errors_sent: signed(counters.errors_sent),
            packets_dropped_outbound: signed(counters.packets_dropped_outbound),
            packets_dropped_inbound: signed(counters.packets_dropped_inbound),
        },
        hwaddr: interface.hwaddr.clone(),
        host_name,
        mtu: interface.mtu.into(),
        state: if interface.up { "up" } else { "down" }.to_owned(),
        kind: interface.kind.clone(),
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// 0 is the epoch, which is how LXD shows an instance that was never started.
fn timestamp(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(seconds, 0).map_or(Timestamp::EPOCH, Timestamp)
}
