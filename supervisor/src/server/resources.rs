//! `GET /1.0/resources`: the machine's processors, memory and disks, from sysfs and procfs.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{cpu, memory, pci};

pub(super) fn resources() -> Value {
    let none = json!({"cards": [], "total": 0});
    json!({
        "cpu": cpu::cpu(Path::new("/sys/devices/system/cpu"), &read(Path::new("/proc/cpuinfo"))),
        "memory": memory::memory(Path::new("/sys/devices/system"), &read(Path::new("/proc/meminfo"))),
        "gpu": none,
        "network": network(Path::new("/sys/class/net")),
        "storage": storage(Path::new("/sys/block")),
        "usb": {"devices": [], "total": 0},
        "pci": pci::devices(Path::new("/sys/bus/pci/devices")),
        "system": system(Path::new("/sys/class/dmi/id")),
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
    let card = |name: String| {
        let mut card = pci::facts(&directory.join(&name));
        card.insert("ports".to_owned(), json!([port(name)]));
        Value::Object(card)
    };
    let cards: Vec<Value> = names.map(card).collect();
    json!({"total": cards.len(), "cards": cards})
}

fn storage(directory: &Path) -> Value {
    let virtual_one =
        |name: &String| ["loop", "ram", "zram", "dm-", "md"].iter().any(|prefix| name.starts_with(prefix));
    let disk = |name: String| {
        let place = directory.join(&name);
        let sectors = number(&place.join("size")).unwrap_or(0);
        let (facts, rotational) = (pci::facts(&place), text(&place.join("queue/rotational")) == "1");
        let fact = |key: &str| facts.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        json!({
            "id": name, "device": text(&place.join("dev")), "model": text(&place.join("device/model")), "type": kind(&name),
            "device_id": "", "pci_address": fact("pci_address"),
            "read_only": text(&place.join("ro")) == "1", "size": sectors * 512,
            "removable": text(&place.join("removable")) == "1", "numa_node": 0, "block_size": 0, "rpm": u8::from(rotational), "partitions": [],
        })
    };
    let disks: Vec<Value> = entries(directory).into_iter().filter(|name| !virtual_one(name)).map(disk).collect();
    json!({"total": disks.len(), "disks": disks})
}

/// How the disk is attached, by what the kernel calls it.
fn kind(disk: &str) -> &'static str {
    const KINDS: [(&str, &str); 4] = [("nvme", "nvme"), ("sd", "scsi"), ("vd", "virtio"), ("mmcblk", "mmc")];
    KINDS.iter().find(|(prefix, _)| disk.starts_with(prefix)).map_or("", |(_, kind)| kind)
}

fn system(directory: &Path) -> Value {
    let fact = |name: &str| text(&directory.join(name));
    json!({
        "uuid": fact("product_uuid"), "vendor": fact("sys_vendor"), "product": fact("product_name"),
        "family": fact("product_family"), "version": fact("product_version"), "sku": fact("product_sku"),
        "serial": fact("product_serial"), "type": "", "firmware": null, "chassis": null, "motherboard": null,
    })
}

pub(super) fn entries(directory: &Path) -> Vec<String> {
    let found = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = found.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

pub(super) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

pub(super) fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

pub(super) fn number(path: &Path) -> Option<u64> {
    text(path).parse().ok()
}

/// `key : value`, or `key: value`.
pub(super) fn info_value(info: &str, key: &str) -> String {
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
    }
}
