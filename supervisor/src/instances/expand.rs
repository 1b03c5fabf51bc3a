//! What an instance's own keys and its profiles' come to.

use std::collections::BTreeMap;
use std::sync::Arc;

use hull_plugin::ConfigMap;

use super::model::{Devices, Record};
use crate::hull::Hull;
use crate::profiles::Profile;

/// Profiles in their order, then the instance's own: later ones win, device by device as a whole.
pub(crate) fn expand(hull: &Hull, record: &Record) -> (ConfigMap, Devices) {
    expand_by(|name| hull.profiles.find(name), record)
}

/// The same with other profiles than there are.
pub(crate) fn expand_by(find: impl Fn(&str) -> Option<Arc<Profile>>, record: &Record) -> (ConfigMap, Devices) {
    let mut config = ConfigMap::new();
    let mut devices = Devices::new();
    for profile in record.profiles.iter().filter_map(|name| find(name)) {
        config.extend(profile.config.clone());
        devices.extend(profile.devices.clone());
    }
    config.extend(record.config.clone());
    devices.extend(record.devices.clone());
    (config, devices)
}

/// The devices that are there: those masked by `type=none` are not.
pub(crate) fn effective(devices: &Devices) -> impl Iterator<Item = (&String, &ConfigMap)> {
    devices.iter().filter(|(_, device)| kind(device) != "none")
}

pub(crate) fn kind(device: &ConfigMap) -> &str {
    device.get("type").map_or("", String::as_str)
}

/// The device that is the root file system.
pub(crate) fn root_disk(devices: &Devices) -> Option<(&String, &ConfigMap)> {
    effective(devices).find(|(_, device)| is_root_disk(device))
}

pub(crate) fn is_root_disk(device: &ConfigMap) -> bool {
    kind(device) == "disk" && device.get("path").is_some_and(|path| path == "/") && !device.contains_key("source")
}

/// The pool of the root file system.
pub(crate) fn root_pool(devices: &Devices) -> Option<String> {
    root_disk(devices).and_then(|(_, disk)| disk.get("pool").cloned())
}

/// The devices of one type.
pub(crate) fn of_kind<'a>(devices: &'a Devices, wanted: &str) -> BTreeMap<&'a String, &'a ConfigMap> {
    effective(devices).filter(|(_, device)| kind(device) == wanted).collect()
}
