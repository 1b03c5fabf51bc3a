//! The machine's PCI devices, and which of them a disk or an interface is.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::resources::{entries, number, read, text};

pub(super) fn devices(directory: &Path) -> Value {
    let device = |address: String| {
        let place = directory.join(&address);
        let (driver, version) = driver(&place);
        json!({
            "driver": driver, "driver_version": version, "numa_node": node(&place), "pci_address": address,
            "vendor": "", "vendor_id": id(&place, "vendor"), "product": "", "product_id": id(&place, "device"),
            "iommu_group": group(&place), "vpd": {},
        })
    };
    let devices: Vec<Value> = entries(directory).into_iter().map(device).collect();
    json!({"total": devices.len(), "devices": devices})
}

/// What is known of the device that `place`, a disk's or an interface's directory in sysfs, belongs to.
pub(super) fn facts(place: &Path) -> Map<String, Value> {
    let Ok(device) = place.join("device").canonicalize() else { return Map::new() };
    let (driver, version) = driver(&device);
    let mut facts = Map::from_iter([
        ("driver".to_owned(), driver.into()),
        ("driver_version".to_owned(), version.into()),
        ("numa_node".to_owned(), node(&device).into()),
    ]);
    for key in ["vendor", "device"] {
        let id = id(&device, key);
        if !id.is_empty() {
            facts.insert(if key == "vendor" { "vendor_id" } else { "product_id" }.to_owned(), id.into());
        }
    }
    if let Some(address) = device.ancestors().find_map(address) {
        facts.insert("pci_address".to_owned(), address.into());
    }
    facts
}

/// The driver's name, and its version: a module's own, else the kernel's.
fn driver(device: &Path) -> (String, String) {
    let Ok(driver) = device.join("driver").canonicalize() else { return (String::new(), String::new()) };
    let name = driver.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let version = text(&driver.join("module/version"));
    let kernel = || read(&PathBuf::from("/proc/sys/kernel/osrelease")).trim().to_owned();
    (name, if version.is_empty() { kernel() } else { version })
}

/// `0x8086`: `8086`.
fn id(device: &Path, key: &str) -> String {
    text(&device.join(key)).trim_start_matches("0x").to_owned()
}

/// A machine without nodes says -1.
fn node(device: &Path) -> u64 {
    number(&device.join("numa_node")).unwrap_or(0)
}

fn group(device: &Path) -> u64 {
    let group = device.join("iommu_group").canonicalize().ok();
    group.and_then(|group| group.file_name()?.to_str()?.parse().ok()).unwrap_or(0)
}

/// `0000:00:03.0`, if that is what the directory is called.
fn address(directory: &Path) -> Option<&str> {
    let name = directory.file_name()?.to_str()?;
    let shape = |(index, one): (usize, char)| match index {
        4 | 7 => one == ':',
        10 => one == '.',
        _ => one.is_ascii_hexdigit(),
    };
    (name.len() == 12 && name.chars().enumerate().all(shape)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_other_names() {
        assert_eq!(address(Path::new("/sys/devices/pci0000:00/0000:00:03.0")), Some("0000:00:03.0"));
        for other in ["/sys/devices/pci0000:00", "/sys/devices/virtio0", "/"] {
            assert_eq!(address(Path::new(other)), None, "{other}");
        }
    }
}
