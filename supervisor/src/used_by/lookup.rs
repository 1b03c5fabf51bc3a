//! Asking the instances and profiles in memory.

use std::collections::BTreeMap;

use hull_plugin::{ConfigMap, PoolName};

use super::rules;
use crate::hull::Hull;

/// What has devices: an instance's own ones, or a profile's.
struct Holder {
    url: String,
    profiles: Vec<String>,
    devices: BTreeMap<String, ConfigMap>,
}

pub(crate) fn profile(hull: &Hull, name: &str) -> Vec<String> {
    instances(hull).into_iter().filter(|one| one.profiles.iter().any(|used| used == name)).map(|one| one.url).collect()
}

/// Instances (through their profiles too) and profiles with a NIC on the network.
pub(crate) fn network(hull: &Hull, name: &str) -> Vec<String> {
    urls(hull, |device| rules::is_nic_of(device, name))
}

/// Custom volumes, images, instances and profiles that need the pool.
pub(crate) fn pool(hull: &Hull, pool: &PoolName) -> Vec<String> {
    let mut urls: Vec<String> = hull.storage.volumes(pool).iter().map(|volume| rules::url_of_volume(volume)).collect();
    urls.extend(profiles(hull).into_iter().filter(|one| one.uses(|device| rules::is_disk_of(device, pool.as_str()))).map(|one| one.url));
    urls.sort();
    urls.dedup();
    urls
}

/// Instances and profiles with the custom volume among their disks.
pub(crate) fn custom_volume(hull: &Hull, pool: &PoolName, name: &str) -> Vec<String> {
    urls(hull, |device| rules::is_custom_volume(device, pool.as_str(), name))
}

fn urls(hull: &Hull, wanted: impl Fn(&ConfigMap) -> bool) -> Vec<String> {
    let holders = instances(hull).into_iter().map(|one| with_profiles(hull, one)).chain(profiles(hull));
    holders.filter(|one| one.uses(&wanted)).map(|one| one.url).collect()
}

fn instances(hull: &Hull) -> Vec<Holder> {
    let records = hull.instances.records();
    let holder = |record: std::sync::Arc<crate::instances::Record>| Holder {
        url: record.name.url(),
        profiles: record.profiles.clone(),
        devices: record.devices.clone(),
    };
    records.into_iter().map(holder).collect()
}

fn profiles(hull: &Hull) -> Vec<Holder> {
    let all = hull.profiles.all();
    all.iter().map(|one| Holder { url: one.name.url(), profiles: Vec::new(), devices: one.devices.clone() }).collect()
}

fn with_profiles(hull: &Hull, mut holder: Holder) -> Holder {
    let found = holder.profiles.iter().filter_map(|name| hull.profiles.find(name));
    let inherited = found.flat_map(|profile| profile.devices.clone()).collect();
    let own = std::mem::replace(&mut holder.devices, inherited);
    holder.devices.extend(own);
    holder
}

impl Holder {
    fn uses(&self, wanted: impl Fn(&ConfigMap) -> bool) -> bool {
        self.devices.values().any(wanted)
    }
}
