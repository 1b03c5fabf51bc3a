//! From configuration keys to what the helper is told.

use std::collections::BTreeMap;

use hull_plugin::instance::{InstanceSpec, StopSignal};
use hull_plugin::{Code, ConfigMap, DriverError};
use instance_container::order::{Confinement, ResourceLimit, Start};

use crate::seccomp;
use crate::table::Record;

/// What LXC's own defaults deny: clock, kernel modules, raw I/O, mandatory access control.
const DROPPED_CAPABILITIES: [u32; 5] = [25, 16, 17, 33, 32]; // linux/capability.h
pub(crate) const RESOURCES: [&str; 16] = [
    "cpu",
    "fsize",
    "data",
    "stack",
    "core",
    "rss",
    "nproc",
    "nofile",
    "memlock",
    "as",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "rttime",
]; // asm-generic/resource.h, in order
const UNLIMITED: u64 = u64::MAX;
const DEFAULT_INIT: &str = "/sbin/init";

/// # Errors
/// `InvalidConfig` with the key.
pub(crate) fn start(spec: &InstanceSpec, boot_id: String) -> Result<Start, DriverError> {
    if is_true(&spec.config, "security.privileged") {
        return Err(DriverError {
            key: Some("security.privileged".into()),
            ..DriverError::new(Code::Unsupported, "privileged containers are not supported by this driver")
        }
        .hint("unset `security.privileged`; `security.nesting` covers most reasons for it"));
    }
    let init = if spec.init.is_empty() { vec![DEFAULT_INIT.to_owned()] } else { spec.init.clone() };
    if !init[0].starts_with('/') {
        return Err(DriverError::invalid("init", format!("`{}` is no absolute path", init[0])));
    }
    Ok(Start {
        hostname: spec.hostname.clone(),
        init,
        environment: environment(&spec.config),
        sysctl: sysctl(&spec.config)?,
        boot_id,
        nesting: is_true(&spec.config, "security.nesting"),
        confinement: confinement(&spec.config)?,
    })
}

/// Everything that also holds for commands run later.
pub(crate) fn confinement(config: &ConfigMap) -> Result<Confinement, DriverError> {
    Ok(Confinement {
        filter: seccomp::filter(config)?,
        dropped_capabilities: DROPPED_CAPABILITIES.to_vec(),
        limits: limits(config)?,
    })
}

/// The keys [`confinement`] and [`signal`] read: kept in the handle.
pub(crate) fn kept(config: &ConfigMap) -> ConfigMap {
    let prefixes = ["security.syscalls.", "limits.kernel.", "raw.lxc"];
    let lasting = config.iter().filter(|(key, _)| prefixes.iter().any(|prefix| key.starts_with(prefix)));
    lasting.map(|(key, value)| (key.clone(), value.clone())).collect()
}

pub(crate) fn is_true(config: &ConfigMap, key: &str) -> bool {
    config.get(key).is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on"))
}

fn environment(config: &ConfigMap) -> Vec<(String, String)> {
    let mut result = BTreeMap::from([("container".to_owned(), "lxc".to_owned())]);
    let own = config.iter().filter_map(|(key, value)| Some((key.strip_prefix("environment.")?, value)));
    result.extend(own.map(|(name, value)| (name.to_owned(), value.clone())));
    result.into_iter().collect()
}

fn sysctl(config: &ConfigMap) -> Result<Vec<(String, String)>, DriverError> {
    let keys = config.iter().filter_map(|(key, value)| Some((key, key.strip_prefix("linux.sysctl.")?, value)));
    keys.map(|(key, name, value)| {
        let path = name.replace('.', "/");
        let sound = !path.is_empty() && path.split('/').all(|part| !part.is_empty() && part != "..");
        sound
            .then(|| (path, value.clone()))
            .ok_or_else(|| DriverError::invalid(key, format!("`{name}` names no sysctl")))
    })
    .collect()
}

fn limits(config: &ConfigMap) -> Result<Vec<ResourceLimit>, DriverError> {
    let keys = config.iter().filter_map(|(key, value)| Some((key, key.strip_prefix("limits.kernel.")?, value)));
    keys.map(|(key, name, value)| {
        let number = RESOURCES.iter().position(|known| *known == name).and_then(|at| u32::try_from(at).ok());
        let number = number.ok_or_else(|| DriverError::invalid(key, format!("no kernel resource `{name}`")))?;
        let (soft, hard) = value.split_once(':').unwrap_or((value, value));
        match (amount(soft), amount(hard)) {
            (Some(soft), Some(hard)) if soft <= hard => Ok((number, soft, hard)),
            _ => Err(DriverError::invalid(key, format!("`{value}` is no limit"))
                .hint("write a number, `unlimited`, or `SOFT:HARD` with the soft one not above the hard one")),
        }
    })
    .collect()
}

fn amount(text: &str) -> Option<u64> {
    if text == "unlimited" { Some(UNLIMITED) } else { text.parse().ok() }
}

/// The signal that makes this init stop or restart the container.
pub(crate) fn signal(record: &Record, wanted: StopSignal) -> i32 {
    let (key, [systemd, busybox, other]) = match wanted {
        StopSignal::Halt => ("lxc.signal.halt", [real_time(3), libc::SIGUSR2, libc::SIGPWR]),
        StopSignal::Reboot => ("lxc.signal.reboot", [libc::SIGINT, libc::SIGTERM, libc::SIGINT]),
    };
    let raw = record.config.get("raw.lxc").map_or("", String::as_str);
    raw_value(raw, key).and_then(signal_number).unwrap_or(match record.init.rsplit('/').next() {
        Some("systemd") => systemd,
        Some("busybox" | "busybox.static") => busybox,
        _ => other,
    })
}

/// # Errors
/// `InvalidConfig`: a line of `raw.lxc` that this driver does not follow.
pub(crate) fn check_raw(config: &ConfigMap) -> Result<(), DriverError> {
    let raw = config.get("raw.lxc").map_or("", String::as_str);
    let lines = raw.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let (key, value) = line.split_once('=').map_or((line, ""), |(key, value)| (key.trim(), value.trim()));
        let known = matches!(key, "lxc.signal.halt" | "lxc.signal.reboot") && signal_number(value).is_some();
        if !known {
            return Err(DriverError::invalid("raw.lxc", format!("`{line}` is not supported"))
                .hint("`lxc.signal.halt` and `lxc.signal.reboot` are; most others have a key of their own"));
        }
    }
    Ok(())
}

fn raw_value<'a>(raw: &'a str, key: &str) -> Option<&'a str> {
    raw.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
}

/// `SIGPWR`, `PWR`, `30`, `SIGRTMIN+3`.
fn signal_number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse() {
        return (1..65).contains(&number).then_some(number);
    }
    let name = text.strip_prefix("SIG").unwrap_or(text);
    if let Some(offset) = name.strip_prefix("RTMIN") {
        let offset = if offset.is_empty() { Some(0) } else { offset.strip_prefix('+')?.parse().ok() };
        return offset.map(real_time);
    }
    format!("SIG{name}").parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as i32)
}

fn real_time(offset: i32) -> i32 {
    hull_sys::process::first_real_time_signal() + offset
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn limits_are_parsed_and_refused() {
        let parsed = limits(&config(&[("limits.kernel.nofile", "1024:2048"), ("limits.kernel.core", "unlimited")]));
        assert_eq!(parsed.unwrap(), [(4, u64::MAX, u64::MAX), (7, 1024, 2048)]);
        for bad in ["x", "2:1", "", "1:2:3"] {
            let error = limits(&config(&[("limits.kernel.nofile", bad)])).unwrap_err();
            assert_eq!(
                (error.code, error.key.as_deref()),
                (Code::InvalidConfig, Some("limits.kernel.nofile")),
                "{bad}"
            );
        }
        assert!(limits(&config(&[("limits.kernel.colour", "1")])).is_err());
    }

    #[test]
    fn a_sysctl_cannot_leave_its_directory() {
        assert!(sysctl(&config(&[("linux.sysctl.net.ipv4.ip_forward", "1")])).is_ok());
        for bad in ["linux.sysctl.", "linux.sysctl./../x", "linux.sysctl.a..b"] {
            assert!(sysctl(&config(&[(bad, "1")])).is_err(), "{bad}");
        }
    }

    #[test]
    fn signals_have_names_and_numbers() {
        assert_eq!(signal_number("SIGPWR"), Some(30));
        assert_eq!(signal_number("USR1"), Some(10));
        assert_eq!(signal_number("SIGRTMIN+3"), Some(37));
        assert_eq!(signal_number("0"), None);
        assert_eq!(signal_number("SIGNOTHING"), None);
        assert!(check_raw(&config(&[("raw.lxc", "lxc.signal.halt = SIGUSR1\n# x\n")])).is_ok());
        assert!(check_raw(&config(&[("raw.lxc", "lxc.hook.start-host=/bin/sh")])).is_err());
    }
}
