//! The machine's processors: sockets, cores, threads and caches, from sysfs.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::environment::architecture;
use super::resources::{entries, info_value, number, text};

/// Sockets of cores of threads, as the kernel numbers them.
pub(super) fn cpu(directory: &Path, info: &str) -> Value {
    let mut sockets: BTreeMap<u64, BTreeMap<u64, Vec<u64>>> = BTreeMap::new();
    let mut total = 0;
    for id in entries(directory).iter().filter_map(|name| name.strip_prefix("cpu")?.parse::<u64>().ok()) {
        let topology = directory.join(format!("cpu{id}/topology"));
        let (Some(socket), Some(core)) =
            (number(&topology.join("physical_package_id")), number(&topology.join("core_id")))
        else {
            continue;
        };
        sockets.entry(socket).or_default().entry(core).or_default().push(id);
        total += 1;
    }
    let sockets: Vec<Value> =
        sockets.into_iter().map(|(socket, cores)| socket_of(directory, socket, cores, info)).collect();
    json!({"architecture": architecture(), "sockets": sockets, "total": total})
}

/// `frequency` only where the kernel knows it: LXD's clients show none otherwise.
fn socket_of(directory: &Path, socket: u64, cores: BTreeMap<u64, Vec<u64>>, info: &str) -> Value {
    let thread = |(index, id): (usize, u64)| json!({"id": id, "numa_node": 0, "thread": index, "online": true, "isolated": false});
    let first = cores.values().flatten().min().copied().unwrap_or_default();
    let core = |(core, mut threads): (u64, Vec<u64>)| {
        threads.sort_unstable();
        let current = megahertz(directory, threads[0], "scaling_cur_freq");
        let threads: Vec<Value> = threads.into_iter().enumerate().map(thread).collect();
        with_frequency(json!({"core": core, "die": 0, "threads": threads}), "frequency", current)
    };
    let socket = json!({
        "name": info_value(info, "model name"),
        "vendor": info_value(info, "vendor_id"),
        "socket": socket,
        "cache": caches(&directory.join(format!("cpu{first}/cache"))),
        "cores": cores.into_iter().map(core).collect::<Vec<_>>(),
    });
    let socket = with_frequency(socket, "frequency", megahertz(directory, first, "scaling_cur_freq"));
    let socket = with_frequency(socket, "frequency_minimum", megahertz(directory, first, "cpuinfo_min_freq"));
    with_frequency(socket, "frequency_turbo", megahertz(directory, first, "cpuinfo_max_freq"))
}

fn caches(directory: &Path) -> Vec<Value> {
    let indexes = entries(directory).into_iter().filter(|name| name.starts_with("index"));
    let cache = |name: String| {
        let fact = |fact: &str| directory.join(&name).join(fact);
        let size = text(&fact("size")).trim_end_matches('K').parse::<u64>().ok()? * 1024;
        Some(json!({"level": number(&fact("level"))?, "type": text(&fact("type")), "size": size}))
    };
    indexes.filter_map(cache).collect()
}

fn megahertz(directory: &Path, cpu: u64, fact: &str) -> Option<u64> {
    number(&directory.join(format!("cpu{cpu}/cpufreq/{fact}"))).map(|kilohertz| kilohertz / 1000)
}

fn with_frequency(mut object: Value, key: &str, megahertz: Option<u64>) -> Value {
    if let Some(megahertz) = megahertz {
        object[key] = megahertz.into();
    }
    object
}
