//! `GET /1.0/resources`: the machine's processors, memory and disks, from sysfs and procfs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::environment::architecture;

pub(super) fn resources() -> Value {
    let none = json!({"cards": [], "total": 0});
    json!({
        "cpu": cpu(Path::new("/sys/devices/system/cpu"), &read("/proc/cpuinfo")),
        "memory": memory(&read("/proc/meminfo")),
        "gpu": none,
        "network": network(Path::new("/sys/class/net")),
        "storage": storage(Path::new("/sys/block")),
        "usb": {"devices": [], "total": 0},
        "pci": {"devices": [], "total": 0},
        "system": system(Path::new("/sys/class/dmi/id")),
    })
}

/// Sockets of cores of threads, as the kernel numbers them.
fn cpu(directory: &Path, info: &str) -> Value {
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
    let sockets: Vec<Value> = sockets.into_iter().map(|(socket, cores)| socket_of(socket, cores, info)).collect();
    json!({"architecture": architecture(), "sockets": sockets, "total": total})
}

fn socket_of(socket: u64, cores: BTreeMap<u64, Vec<u64>>, info: &str) -> Value {
    let thread = |(index, id): (usize, u64)| json!({"id": id, "numa_node": 0, "thread": index, "online": true, "isolated": false});
    let core = |(core, mut threads): (u64, Vec<u64>)| {
        threads.sort_unstable();
        let threads: Vec<Value> = threads.into_iter().enumerate().map(thread).collect();
        json!({"core": core, "die": 0, "threads": threads, "frequency": 0})
    };
    json!({
        "name": info_value(info, "model name"),
        "vendor": info_value(info, "vendor_id"),
        "socket": socket,
        "cache": [],
        "cores": cores.into_iter().map(core).collect::<Vec<_>>(),
        "frequency": 0, "frequency_minimum": 0, "frequency_turbo": 0,
    })
}

fn memory(info: &str) -> Value {
    let bytes = |key: &str| info_value(info, key).trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024;
    let (total, pages) = (bytes("MemTotal"), info_value(info, "HugePages_Total").parse::<u64>().unwrap_or(0));
    let (free, size) = (info_value(info, "HugePages_Free").parse::<u64>().unwrap_or(0), bytes("Hugepagesize"));
    json!({
        "nodes": [],
        "hugepages_total": pages * size, "hugepages_used": pages.saturating_sub(free) * size, "hugepages_size": size,
        "used": total.saturating_sub(bytes("MemAvailable")), "total": total,
    })
}

fn network(directory: &Path) -> Value {
    // Interfaces with a device below them are cards; bridges, veths and the loopback have none.
    let names = entries(directory).into_iter().filter(|name| directory.join(name).join("device").exists());
    let port = |name: String| {
        let place = directory.join(&name);
        json!({"id": name, "port": 0, "protocol": "ethernet", "auto_negotiation": false, "link_detected": text(&place.join("carrier")) == "1",
               "address": text(&place.join("address"))})
    };
    let cards: Vec<Value> = names.map(|name| json!({"ports": [port(name)], "numa_node": 0})).collect();
    json!({"total": cards.len(), "cards": cards})
}

fn storage(directory: &Path) -> Value {
    let virtual_one =
        |name: &String| ["loop", "ram", "zram", "dm-", "md"].iter().any(|prefix| name.starts_with(prefix));
    let disk = |name: String| {
        let place = directory.join(&name);
        let sectors = number(&place.join("size")).unwrap_or(0);
        json!({
            "id": name, "device": text(&place.join("dev")), "model": text(&place.join("device/model")), "type": "",
            "read_only": text(&place.join("ro")) == "1", "size": sectors * 512,
            "removable": text(&place.join("removable")) == "1", "numa_node": 0, "block_size": 0, "rpm": 0, "partitions": [],
        })
    };
    let disks: Vec<Value> = entries(directory).into_iter().filter(|name| !virtual_one(name)).map(disk).collect();
    json!({"total": disks.len(), "disks": disks})
}

fn system(directory: &Path) -> Value {
    let fact = |name: &str| text(&directory.join(name));
    json!({
        "uuid": fact("product_uuid"), "vendor": fact("sys_vendor"), "product": fact("product_name"),
        "family": fact("product_family"), "version": fact("product_version"), "sku": fact("product_sku"),
        "serial": fact("product_serial"), "type": "", "firmware": null, "chassis": null, "motherboard": null,
    })
}

fn entries(directory: &Path) -> Vec<String> {
    let found = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = found.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn number(path: &Path) -> Option<u64> {
    text(path).parse().ok()
}

/// `key : value`, or `key: value`.
fn info_value(info: &str, key: &str) -> String {
    let line = info.lines().find(|line| line.split(':').next().is_some_and(|found| found.trim() == key));
    line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_processors_and_memory() {
        let found = resources();
        let threads = std::thread::available_parallelism().unwrap().get() as u64;
        assert!(found["cpu"]["total"].as_u64().unwrap() >= threads);
        let (used, total) = (found["memory"]["used"].as_u64().unwrap(), found["memory"]["total"].as_u64().unwrap());
        assert!(used > 0 && used < total);
    }

    #[test]
    fn values_are_found_by_their_key() {
        let info = "MemTotal:       24 kB\nvendor_id\t: AuthenticAMD\n";
        assert_eq!(info_value(info, "MemTotal"), "24 kB");
        assert_eq!(info_value(info, "vendor_id"), "AuthenticAMD");
        assert_eq!(memory(info)["total"], 24 * 1024);
    }
}
