//! Whether a device needs an object, and where a volume's user is found.

use hull_plugin::ConfigMap;

use crate::storage::VolumeRow;

pub(super) fn is_nic_of(device: &ConfigMap, network: &str) -> bool {
    has(device, "type", "nic") && (has(device, "network", network) || has(device, "parent", network))
}

pub(super) fn is_disk_of(device: &ConfigMap, pool: &str) -> bool {
    has(device, "type", "disk") && has(device, "pool", pool)
}

pub(super) fn is_custom_volume(device: &ConfigMap, pool: &str, volume: &str) -> bool {
    is_disk_of(device, pool) && has(device, "source", volume)
}

/// The object that a volume belongs to, or the volume itself if nobody owns it.
pub(crate) fn url_of_volume(volume: &VolumeRow) -> String {
    match volume.name.parts() {
        ("container" | "virtual-machine", name) => format!("/1.0/instances/{name}"),
        ("image", fingerprint) => format!("/1.0/images/{fingerprint}"),
        (kind, name) => format!("/1.0/storage-pools/{}/volumes/{kind}/{name}", volume.pool),
    }
}

fn has(device: &ConfigMap, key: &str, value: &str) -> bool {
    device.get(key).is_some_and(|found| found == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(text: &str) -> ConfigMap {
        text.split(' ').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key.into(), value.into())).collect()
    }

    #[test]
    fn devices_need_what_they_name() {
        assert!(is_nic_of(&device("type=nic network=br0"), "br0"));
        assert!(is_nic_of(&device("type=nic nictype=bridged parent=br0"), "br0"));
        assert!(!is_nic_of(&device("type=disk network=br0"), "br0"));
        assert!(is_disk_of(&device("type=disk path=/ pool=p"), "p"));
        assert!(is_custom_volume(&device("type=disk path=/x pool=p source=v"), "p", "v"));
        assert!(!is_custom_volume(&device("type=disk path=/ pool=p"), "p", "v"));
    }
}
