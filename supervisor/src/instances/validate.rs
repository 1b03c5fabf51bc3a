//! Which configuration keys and devices an instance or profile may have.
//!
//! Keys that mean the same for every driver are here; a driver's own come from its `describe()`. Anything else is refused:
//! a misspelt key must not look as if it worked.

use std::path::Path;
use std::sync::Arc;

use hull_plugin::{ConfigKey, ConfigMap, Description, PluginKind, ValueKind};

use super::model::Devices;
use super::{expand, limits};
use crate::api::ApiError;
use crate::hull::Hull;
use crate::look;
use crate::profiles::Profile;

/// Keys every instance has, whatever its driver.
fn common_keys() -> Vec<ConfigKey> {
    use ValueKind::{Boolean, Integer, Text};
    let key = ConfigKey::new;
    vec![
        key("boot.autostart", Boolean, "", "Whether to start the instance with Hull; unset: as it was before."),
        key("boot.autostart.delay", Integer, "0", "Seconds to wait after starting it before the next one."),
        key("boot.autostart.priority", Integer, "0", "Instances with a higher one start first."),
        key("boot.host_shutdown_timeout", Integer, "30", "Seconds the instance has to stop when the host shuts down."),
        key("boot.stop.priority", Integer, "0", "Instances with a higher one stop first."),
        key("limits.cpu", Text, "", "How many CPUs, or which (`0-3,7`)."),
        key(
            "limits.cpu.allowance",
            Text,
            "100%",
            "A share under load (`50%`) or a hard part of the time (`25ms/100ms`).",
        ),
        key("limits.memory", Text, "", "Bytes with a unit, or a percentage of the host's memory."),
        key("limits.processes", Integer, "", "How many processes may exist in the instance."),
        key("security.protection.delete", Boolean, "false", "Refuses to delete the instance."),
        key("user.*", Text, "", "Free for any use."),
        key("image.*", Text, "", "Properties of the image the instance was made from."),
    ]
}

/// LXD's keys for what Hull does not have: refused with the reason, since scripts set them and expect an effect.
const NOT_YET: &[(&str, &str)] = &[
    ("agent.nic_config", "virtual machines are not supported yet"),
    ("boot.autorestart", "restarting after a crash is not supported yet"),
    ("boot.debug_edk2", "virtual machines are not supported yet"),
    ("cloud-init.", "cloud-init's data is not supported yet"),
    ("cluster.", "clusters are not supported yet"),
    ("limits.cpu.nodes", "NUMA nodes are not supported yet"),
    ("limits.cpu.priority", "it is not supported yet; `limits.cpu.allowance` gives a share"),
    ("limits.disk.priority", "priorities of disks and networks are not supported yet"),
    ("limits.hugepages.", "limits of huge pages are not supported yet"),
    ("limits.memory.", "only `limits.memory` itself, a hard limit, is supported yet"),
    ("limits.network.priority", "priorities of disks and networks are not supported yet"),
    ("linux.kernel_modules", "loading kernel modules for an instance is not supported"),
    ("migration.", "migration is not supported yet"),
    ("nvidia.", "GPUs are not supported yet"),
    ("raw.apparmor", "AppArmor is not used"),
    ("raw.idmap", "mapping host ids into an instance is not supported yet"),
    ("raw.qemu", "virtual machines are not supported yet"),
    ("raw.seccomp", "it is not supported yet; `security.syscalls.*` are"),
    ("security.agent.", "virtual machines are not supported yet"),
    ("security.csm", "virtual machines are not supported yet"),
    ("security.devlxd", "the guest API is not supported yet"),
    ("security.guestapi", "the guest API is not supported yet"),
    ("security.idmap.", "every driver's instances share one range of ids"),
    ("security.protection.shift", "file systems are mapped when they are mounted, and never rewritten"),
    ("security.secureboot", "virtual machines are not supported yet"),
    ("security.sev", "virtual machines are not supported yet"),
    ("snapshots.", "snapshots are not supported yet"),
];

fn unknown(key: &str) -> String {
    match NOT_YET.iter().find(|(prefix, _)| key.starts_with(prefix)) {
        Some((_, why)) => format!("Configuration key \"{key}\" cannot be set: {why}"),
        None => format!("Unknown configuration key: {key}"),
    }
}

/// Refuses unknown keys and impossible values.
pub(crate) async fn config(hull: &Hull, config: &ConfigMap) -> Result<(), ApiError> {
    let mut known = common_keys();
    for description in hull.plugins.descriptions(PluginKind::Instance).await {
        known.extend(description.config.iter().cloned());
    }
    config.iter().try_for_each(|(key, value)| {
        let invalid = |why: String| ApiError::bad_request(why);
        if key.starts_with("volatile.") {
            return check_volatile(key, value).map_err(invalid);
        }
        let found = known.iter().find(|one| one.covers(key));
        let found = found.ok_or_else(|| invalid(unknown(key)))?;
        if value.is_empty() {
            return Ok(()); // an unset key
        }
        check_value(found, value).map_err(&invalid)?;
        check_limit(key, value).map_err(&invalid)
    })
}

/// Refuses a change of a profile that would take instances their root disk, or claim that it is in another pool than it is.
pub(crate) fn keeps_root_disks(hull: &Hull, changed: &Profile) -> Result<(), ApiError> {
    let changed = Arc::new(changed.clone());
    let find =
        |name: &str| if changed.name.as_str() == name { Some(changed.clone()) } else { hull.profiles.find(name) };
    for entry in hull.instances.all() {
        let record = entry.record();
        let (_, before) = expand::expand(hull, &record);
        let (_, after) = expand::expand_by(find, &record);
        let (before, after) = (expand::root_pool(&before), expand::root_pool(&after));
        let is_in = record.pool.as_ref().map(ToString::to_string);
        if before.is_some() && before != after && after != is_in {
            let why = format!(
                "At least one instance relies on this profile's root disk device: \"{}\" has it in the pool \"{}\"",
                record.name,
                is_in.or(before).unwrap_or_default()
            );
            return Err(ApiError::bad_request(why));
        }
    }
    Ok(())
}

/// A key that is empty is one that is not set: clients unset keys so.
pub(crate) fn without_empty_keys(mut devices: Devices) -> Devices {
    devices.values_mut().for_each(|device| device.retain(|_, value| !value.is_empty()));
    devices
}

/// Refuses unknown types and keys of devices, and what cannot be attached.
pub(crate) async fn devices(hull: &Hull, devices: &Devices) -> Result<(), ApiError> {
    // Only a NIC asks a driver; without one, none is started for this.
    let has_nic = devices.values().any(|device| expand::kind(device) == "nic");
    let drivers = if has_nic { hull.plugins.descriptions(PluginKind::Network).await } else { Vec::new() };
    devices.iter().try_for_each(|(name, device)| {
        check_device(hull, &drivers, name, device)
            .map_err(|why| ApiError::bad_request(format!("Device validation failed for \"{name}\": {why}")))
    })
}

/// Refuses disks whose source is not there. Not for profiles: what they name may come later.
pub(super) async fn sources(devices: &Devices) -> Result<(), ApiError> {
    for (name, device) in devices.iter().filter(|(_, device)| expand::kind(device) == "disk") {
        let optional = device.get("required").is_some_and(|value| parse_boolean(value) == Some(false));
        let Some(source) = device.get("source").filter(|_| !optional) else { continue };
        let why = match look::at(Path::new(source), Path::exists).await {
            Ok(true) => continue,
            Ok(false) => format!("Missing source path \"{source}\" for disk \"{name}\""),
            Err(silent) => silent.to_string(),
        };
        return Err(ApiError::bad_request(format!("Failed add validation for device \"{name}\": {why}")));
    }
    Ok(())
}

/// What Hull notes about an instance, and the client gives back with everything else. Nothing else is volatile.
fn check_volatile(key: &str, value: &str) -> Result<(), String> {
    const NOTES: [&str; 12] = [
        "apply_template",
        "base_image",
        "cloud-init.instance-id",
        "evacuate.origin",
        "idmap.base",
        "idmap.current",
        "idmap.next",
        "last_state.idmap",
        "last_state.power",
        "last_state.ready",
        "uuid",
        "vsock_id",
    ];
    const OF_DEVICES: [&str; 8] =
        ["hwaddr", "name", "host_name", "mtu", "created", "apply_quota", "last_state.created", "last_state.hwaddr"];
    let note = key.strip_prefix("volatile.").unwrap_or(key);
    let of_device = || {
        OF_DEVICES.iter().any(|end| note.strip_suffix(end).is_some_and(|name| name.len() > 1 && name.ends_with('.')))
    };
    if !NOTES.contains(&note) && !of_device() {
        return Err(format!("Unknown configuration key: {key}"));
    }
    if note == "uuid" && !value.is_empty() && uuid::Uuid::parse_str(value).is_err() {
        return Err("Invalid UUID".to_owned());
    }
    Ok(())
}

/// Two root disks, or a NIC name twice, only show when everything is put together.
pub(crate) fn expanded(devices: &Devices) -> Result<(), ApiError> {
    let roots = expand::effective(devices).filter(|(_, device)| expand::is_root_disk(device)).count();
    if roots > 1 {
        return Err(ApiError::bad_request("Invalid devices: More than one root disk device"));
    }
    let mut names: Vec<&String> = expand::of_kind(devices, "nic").values().filter_map(|nic| nic.get("name")).collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(ApiError::bad_request(format!("Invalid devices: Two NICs have the name \"{}\"", pair[0]))),
        None => Ok(()),
    }
}

fn check_device(hull: &Hull, drivers: &[Arc<Description>], name: &str, device: &ConfigMap) -> Result<(), String> {
    hull_plugin::DeviceName::new(name).map_err(|error| error.to_string())?;
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-:_.".contains(&byte)) {
        return Err(
            "Name can only contain alphanumeric, forward slash, hyphen, colon, underscore and full stop characters"
                .into(),
        );
    }
    match expand::kind(device) {
        "none" => Ok(()),
        "" => Err(format!("Failed loading device \"{name}\": Missing device type in config")),
        "disk" => check_disk(hull, device),
        "nic" => check_nic(hull, drivers, name, device),
        _ => Err(format!("Failed loading device \"{name}\": Unsupported device type")),
    }
}

fn check_disk(hull: &Hull, device: &ConfigMap) -> Result<(), String> {
    let known = ["type", "path", "source", "pool", "readonly", "recursive", "required", "shift"];
    only(device, |key| known.contains(&key))?;
    for key in ["readonly", "recursive", "required", "shift"] {
        device.get(key).map_or(Ok(()), |value| boolean(value))?;
    }
    let path = device.get("path").map(String::as_str).unwrap_or_default();
    let (source, pool) = (device.get("source"), device.get("pool"));
    if path.is_empty() || (path != "/" && source.is_none() && pool.is_none()) {
        return Err("Disk entry is missing the required \"source\" or \"path\" property".into());
    }
    match (source, pool) {
        (None, None) => Err("Root disk entry must have a \"pool\" property set".into()),
        (None, Some(pool)) if path == "/" => match hull.storage.find(pool) {
            Some(_) => Ok(()),
            None => Err(format!("The \"{pool}\" storage pool doesn't exist")),
        },
        (None, Some(_)) => Err("Disk entry is missing the required \"source\" property".into()),
        (Some(_), Some(_)) => Err("Custom volumes cannot be attached yet; use a host path as \"source\"".into()),
        (Some(_), None) if path == "/" => Err("Root disk entry may not have a \"source\" property set".into()),
        (Some(source), None) if !source.starts_with('/') => Err(format!("\"{source}\" is not an absolute path")),
        (Some(_), None) => Ok(()),
    }
}

fn check_nic(hull: &Hull, drivers: &[Arc<Description>], name: &str, device: &ConfigMap) -> Result<(), String> {
    let network = device.get("network");
    let nictype = device.get("nictype");
    let description = match (network, nictype) {
        (Some(_), Some(_)) => {
            return Err("Cannot use \"nictype\" property in conjunction with \"network\" property".into());
        }
        (None, None) => return Err(format!("Failed loading device \"{name}\": Unsupported device type")),
        (Some(network), None) => match hull.networks.find(network) {
            Some(network) => drivers.iter().find(|one| one.driver == network.driver),
            None => {
                return Err(format!(
                    "Failed loading device \"{name}\": Failed to load network \"{network}\" for project \"default\": Network not found"
                ));
            }
        },
        (None, Some(nictype)) => {
            let found = drivers.iter().find(|one| one.can(&format!("nic:{nictype}")));
            Some(found.ok_or_else(|| format!("Failed loading device \"{name}\": Unsupported device type (hint: no network driver makes NICs of type \"{nictype}\")"))?)
        }
    };
    let keys = description.map(|description| description.item_config.as_slice()).unwrap_or_default();
    let known = ["type", "network", "nictype", "name", "hwaddr", "mtu"];
    only(device, |key| known.contains(&key) || keys.iter().any(|one| one.covers(key)))?;
    device.get("hwaddr").map_or(Ok(()), |text| check_hwaddr(text))?;
    device.iter().filter(|(_, value)| !value.is_empty()).try_for_each(|(key, value)| {
        keys.iter().find(|one| one.covers(key)).map_or(Ok(()), |one| check_value(one, value))
    })
}

fn check_hwaddr(text: &str) -> Result<(), String> {
    let pairs: Vec<&str> = text.split(':').collect();
    let hex = |pair: &&str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    if pairs.len() == 6 && pairs.iter().all(hex) {
        return Ok(());
    }
    let why = "Invalid MAC address, must be 6 bytes of hex separated by colons";
    Err(format!("Invalid value for device option \"hwaddr\": {why}"))
}

fn only(device: &ConfigMap, known: impl Fn(&str) -> bool) -> Result<(), String> {
    match device.keys().find(|key| !known(key)) {
        Some(key) => Err(format!("Invalid device option \"{key}\"")),
        None => Ok(()),
    }
}

/// Whether `value` is of the kind the key asks for, in LXD's words where scripts know them.
pub(crate) fn check_value(key: &ConfigKey, value: &str) -> Result<(), String> {
    match &key.kind {
        ValueKind::Boolean => boolean(value),
        ValueKind::Integer => {
            value.parse::<i64>().map(drop).map_err(|_| format!("Invalid value for an integer \"{value}\""))
        }
        ValueKind::Size => parse_size(value).map(drop).ok_or_else(|| format!("Invalid value: {value}")),
        ValueKind::Choice(words) if !words.iter().any(|word| word == value) => {
            Err(format!("Invalid value \"{value}\" (not one of [{}])", words.join(" ")))
        }
        ValueKind::Path if !value.starts_with('/') => Err("Must be absolute file path".into()),
        ValueKind::Cidr(words) if !words.iter().any(|word| word == value) && value.parse::<ipnet::IpNet>().is_err() => {
            Err(format!("invalid CIDR address: {value}"))
        }
        ValueKind::Text
            if value.contains(['\n', '\0']) && !key.name.starts_with("user.") && !key.name.starts_with("raw.") =>
        {
            Err(format!("Line breaks are not allowed in \"{}\"", key.name))
        }
        ValueKind::Matching { pattern, otherwise } if !matches_whole(pattern, value) => {
            Err(format!("Invalid value \"{value}\" for \"{}\": {otherwise}", key.name))
        }
        ValueKind::Matching { .. } | ValueKind::Text | ValueKind::Choice(_) | ValueKind::Path | ValueKind::Cidr(_) => {
            Ok(())
        }
    }
}

/// A driver's expression: it takes linear time whatever it is, and one that is malformed matches nothing.
fn matches_whole(pattern: &str, value: &str) -> bool {
    const LARGEST: usize = 1 << 20;
    let compiled = regex::RegexBuilder::new(&format!(r"\A(?:{pattern})\z")).size_limit(LARGEST).build();
    match compiled {
        Ok(expression) => expression.is_match(value),
        Err(error) => {
            tracing::warn!(pattern, %error, "a driver's expression for the values of a key is malformed");
            false
        }
    }
}

fn boolean(value: &str) -> Result<(), String> {
    parse_boolean(value).map(drop).ok_or_else(|| format!("Invalid value for a boolean \"{value}\""))
}

/// LXD's spellings.
pub(crate) fn parse_boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// `10GiB`, `500MB`, `1024`: bytes.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let factor: u64 = match &text[digits..] {
        "" | "B" => 1,
        "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "PB" => 1_000_000_000_000_000,
        "EB" => 1_000_000_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "PiB" => 1 << 50,
        "EiB" => 1 << 60,
        _ => return None,
    };
    number.checked_mul(factor)
}

fn check_limit(key: &str, value: &str) -> Result<(), String> {
    match key {
        "limits.memory" => {
            let percent = value
                .strip_suffix('%')
                .is_some_and(|number| number.parse::<u8>().is_ok_and(|n| (1..=100).contains(&n)));
            if percent || parse_size(value).is_some() { Ok(()) } else { Err(format!("Invalid value: {value}")) }
        }
        "limits.cpu" if limits::parse_cpus(value).is_none() => Err("Invalid CPU limit syntax".into()),
        "limits.cpu.allowance" if limits::parse_allowance(value).is_none() => {
            Err(format!("Invalid allowance: {value}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_lxd_units() {
        assert_eq!(parse_size("1024"), Some(1024));
        assert_eq!(parse_size("10GiB"), Some(10 << 30));
        assert_eq!(parse_size("500MB"), Some(500_000_000));
        for bad in ["", "abc", "10Gib", "-1", "1.5GB", "99999999999EiB", "MB"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }

    #[test]
    fn values_are_checked_against_their_kind() {
        let key = |kind| ConfigKey::new("x", kind, "", "");
        assert!(check_value(&key(ValueKind::Boolean), "notabool").is_err());
        assert!(check_value(&key(ValueKind::Boolean), "Yes").is_ok());
        assert!(check_value(&key(ValueKind::Cidr(vec!["auto".into()])), "auto").is_ok());
        assert!(check_value(&key(ValueKind::Cidr(vec![])), "10.0.0.1").is_err());
        assert!(check_value(&key(ValueKind::Text), "a\nb").is_err());
    }

    #[test]
    fn two_root_disks_are_refused() {
        let disk =
            ConfigMap::from([("type".into(), "disk".into()), ("path".into(), "/".into()), ("pool".into(), "p".into())]);
        let one = Devices::from([("root".into(), disk.clone())]);
        assert!(expanded(&one).is_ok());
        let two = Devices::from([("root".into(), disk.clone()), ("other".into(), disk)]);
        assert!(expanded(&two).is_err());
    }
}
