//! A running instance: what its control group has used, and what its driver and its pool's say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hull_api::InstanceState;
use hull_plugin::PoolName;
use hull_plugin::storage::Usage;

use super::text::{Family, Kind, Metrics};
use crate::cgroups::CgroupUsage;
use crate::hull::Hull;
use crate::instances::{Entry, state_of};
use crate::look::{self, FileSystem};

/// What has not been said by then is left out.
const PATIENCE: Duration = Duration::from_millis(800);

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: Kind::Counter }
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: Kind::Gauge }
}

const CPU: Family = counter("lxd_cpu_seconds_total", "The total number of CPU time used in seconds.");
const EFFECTIVE: Family = gauge("lxd_cpu_effective_total", "The number of processors the instance may use.");
const PROCESSES: Family = gauge("lxd_procs_total", "The number of running processes.");
const READ_BYTES: Family = counter("lxd_disk_read_bytes_total", "The total number of bytes read.");
const READS: Family = counter("lxd_disk_reads_completed_total", "The total number of completed reads.");
const WRITTEN_BYTES: Family = counter("lxd_disk_written_bytes_total", "The total number of bytes written.");
const WRITES: Family = counter("lxd_disk_writes_completed_total", "The total number of completed writes.");
const AVAILABLE: Family = gauge("lxd_filesystem_avail_bytes", "Bytes available on the file system.");
const FREE: Family = gauge("lxd_filesystem_free_bytes", "Bytes free on the file system.");
const SIZE: Family = gauge("lxd_filesystem_size_bytes", "Bytes of the whole file system.");
const TOTAL: Family = gauge("lxd_memory_MemTotal_bytes", "Memory the instance may use.");
const MEMORY_FREE: Family = gauge("lxd_memory_MemFree_bytes", "Memory nobody uses.");
const MEMORY_AVAILABLE: Family = gauge("lxd_memory_MemAvailable_bytes", "Memory to be had without swapping.");
const OUT_OF_MEMORY: Family = counter("lxd_memory_OOM_kills_total", "Processes killed for want of memory.");

/// The kernel's figure (or the sum of several) and the family it is told as.
const MEMORY: [(&[&str], Family); 13] = [
    (&["active_anon"], gauge("lxd_memory_Active_anon_bytes", "Anonymous memory used lately.")),
    (&["active_file"], gauge("lxd_memory_Active_file_bytes", "File memory used lately.")),
    (&["active_anon", "active_file"], gauge("lxd_memory_Active_bytes", "Memory used lately.")),
    (&["inactive_anon"], gauge("lxd_memory_Inactive_anon_bytes", "Anonymous memory not used lately.")),
    (&["inactive_file"], gauge("lxd_memory_Inactive_file_bytes", "File memory not used lately.")),
    (&["inactive_anon", "inactive_file"], gauge("lxd_memory_Inactive_bytes", "Memory not used lately.")),
    (&["cache"], gauge("lxd_memory_Cached_bytes", "Cached file content.")),
    (&["dirty"], gauge("lxd_memory_Dirty_bytes", "Memory to be written to disk.")),
    (&["mapped_file"], gauge("lxd_memory_Mapped_bytes", "Mapped files.")),
    (&["rss"], gauge("lxd_memory_RSS_bytes", "Anonymous memory and swap cache.")),
    (&["shmem"], gauge("lxd_memory_Shmem_bytes", "Shared memory and tmpfs.")),
    (&["swap"], gauge("lxd_memory_Swap_bytes", "Memory that is swapped out.")),
    (&["unevictable"], gauge("lxd_memory_Unevictable_bytes", "Memory that cannot be reclaimed.")),
];
const WRITEBACK: Family = gauge("lxd_memory_Writeback_bytes", "Memory being written to disk.");

/// The pool that an instance's root disk is in, and what that is on.
#[derive(Clone)]
struct Root {
    on: FileSystem,
    usage: Usage,
}

/// What is known of one instance.
pub(super) struct Figures {
    name: String,
    kind: String,
    usage: CgroupUsage,
    /// `None`: its driver did not say.
    state: Option<InstanceState>,
    /// `None`: it has no root disk in a pool, or the pool's driver did not say.
    root: Option<Root>,
    machine_memory: u64,
    processors: usize,
}

/// Asks for all of them side by side; nobody waits longer than the bound.
pub(super) async fn figures(hull: &Hull, running: &[Arc<Entry>]) -> Vec<Figures> {
    let groups: Vec<_> = running.iter().map(|entry| hull.cgroups.instance(entry.record().name.as_str())).collect();
    let usages =
        tokio::task::spawn_blocking(move || groups.iter().map(crate::cgroups::Cgroup::usage).collect::<Vec<_>>());
    let states = running.iter().map(|entry| async {
        let asked = tokio::time::timeout(PATIENCE, state_of(hull, entry)).await;
        asked.ok().and_then(Result::ok)
    });
    let (usages, states, pools) =
        tokio::join!(tokio::time::timeout(PATIENCE, usages), futures::future::join_all(states), pools(hull, running));
    let Ok(Ok(usages)) = usages else { return Vec::new() };
    let machine_memory = machine_memory();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let known = running.iter().zip(usages).zip(states);
    let figures = known.map(|((entry, usage), state)| {
        let record = entry.record();
        let root = record.pool.as_ref().and_then(|pool| pools.get(pool).cloned());
        let (name, kind) = (record.name.to_string(), record.kind.clone());
        Figures { name, kind, usage, state, root, machine_memory, processors }
    });
    figures.collect()
}

/// Each pool once, however many instances are in it.
async fn pools(hull: &Hull, running: &[Arc<Entry>]) -> BTreeMap<PoolName, Root> {
    let (table, sources) = (look::mount_table(), hull.storage.sources(hull));
    let mut names: Vec<PoolName> = running.iter().filter_map(|entry| entry.record().pool.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let on = |name: &PoolName| {
        let source = sources.iter().find(|(pool, _)| pool == name);
        source.map(|(_, source)| look::file_system(&table, source)).unwrap_or_default()
    };
    let asked = names.into_iter().map(|name| (on(&name), name)).map(|(on, name)| async move {
        let pool = hull.storage.find(name.as_str())?;
        let handle = hull.storage.handle(hull, &pool).await.ok()?;
        let usage = tokio::time::timeout(PATIENCE, handle.pool_usage()).await.ok()?.ok()?;
        Some((name, Root { on, usage }))
    });
    futures::future::join_all(asked).await.into_iter().flatten().collect()
}

/// Everything of one instance.
pub(super) fn add(metrics: &mut Metrics, one: &Figures) {
    let labels = [("name", one.name.as_str()), ("project", "default"), ("type", one.kind.as_str())];
    let with = |more: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        labels.iter().chain(more).map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    let mut put = |family: &Family, more: &[(&'static str, &str)], value: f64| {
        let all = with(more);
        let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        metrics.add(family, &all, value);
    };
    for cpu in &one.usage.cpus {
        put(&CPU, &[("cpu", &cpu.cpu), ("mode", "user")], cpu.user_nanoseconds as f64 / 1e9);
        put(&CPU, &[("cpu", &cpu.cpu), ("mode", "system")], cpu.system_nanoseconds as f64 / 1e9);
    }
    put(&EFFECTIVE, &[], one.processors as f64);
    put(&PROCESSES, &[], one.usage.processes as f64);
    for (device, disk) in &one.usage.disks {
        let device = [("device", device.as_str())];
        put(&READ_BYTES, &device, disk.read_bytes as f64);
        put(&READS, &device, disk.reads as f64);
        put(&WRITTEN_BYTES, &device, disk.written_bytes as f64);
        put(&WRITES, &device, disk.writes as f64);
    }
    add_memory(one, &mut put);
    if let Some(Root { on, usage }) = &one.root {
        let free = usage.bytes_total.saturating_sub(usage.bytes_used) as f64;
        let place = [("device", on.device.as_str()), ("fstype", on.kind.as_str()), ("mountpoint", "/")];
        put(&AVAILABLE, &place, free);
        put(&FREE, &place, free);
        put(&SIZE, &place, usage.bytes_total as f64);
    }
    if let Some(state) = &one.state {
        add_network(state, &mut put);
    }
}

fn add_memory(one: &Figures, put: &mut impl FnMut(&Family, &[(&'static str, &str)], f64)) {
    let usage = &one.usage;
    let figure = |name: &str| usage.memory.get(name).copied().unwrap_or(0);
    for (names, family) in &MEMORY {
        put(family, &[], names.iter().map(|name| figure(name)).sum::<u64>() as f64);
    }
    put(&WRITEBACK, &[], figure("writeback") as f64);
    let total = usage.memory_limit.unwrap_or(u64::MAX).min(one.machine_memory);
    let free = total.saturating_sub(usage.memory_used);
    put(&TOTAL, &[], total as f64);
    put(&MEMORY_FREE, &[], free as f64);
    put(&MEMORY_AVAILABLE, &[], free.saturating_add(figure("cache")).min(total) as f64);
    put(&OUT_OF_MEMORY, &[], usage.out_of_memory_kills as f64);
}

fn add_network(state: &InstanceState, put: &mut impl FnMut(&Family, &[(&'static str, &str)], f64)) {
    for (device, network) in &state.network {
        let (device, counters) = ([("device", device.as_str())], &network.counters);
        for (family, value) in [
            (counter("lxd_network_receive_bytes_total", "Bytes received."), counters.bytes_received),
            (
                counter("lxd_network_receive_drop_total", "Packets dropped when received."),
                counters.packets_dropped_inbound,
            ),
            (counter("lxd_network_receive_errs_total", "Errors in receiving."), counters.errors_received),
            (counter("lxd_network_receive_packets_total", "Packets received."), counters.packets_received),
            (counter("lxd_network_transmit_bytes_total", "Bytes sent."), counters.bytes_sent),
            (
                counter("lxd_network_transmit_drop_total", "Packets dropped when sent."),
                counters.packets_dropped_outbound,
            ),
            (counter("lxd_network_transmit_errs_total", "Errors in sending."), counters.errors_sent),
            (counter("lxd_network_transmit_packets_total", "Packets sent."), counters.packets_sent),
        ] {
            put(&family, &device, value as f64);
        }
    }
}

fn machine_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).map_or(0, |kibibytes| kibibytes * 1024)
}
