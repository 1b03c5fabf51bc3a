//! The facts about kernel, system and machine that `GET /1.0` tells.

use std::collections::BTreeMap;

use hull_api::{Config, ServerEnvironment, ServerStorageDriver};
use hull_plugin::PluginKind;

use crate::hull::Hull;

/// The machine's architecture as LXD calls it.
pub(crate) fn architecture() -> String {
    match std::env::consts::ARCH {
        "x86" => "i686",
        "arm" => "armv7l",
        "powerpc64" => "ppc64le",
        other => other,
    }
    .to_owned()
}

/// What does not change while the daemon runs.
pub(super) struct Facts {
    kernel: String,
    kernel_version: String,
    kernel_architecture: String,
    host_name: String,
    os_name: String,
    os_version: String,
    kernel_features: Config,
}

impl Facts {
    pub(super) fn gathered() -> Self {
        let os = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let uname = nix::sys::utsname::uname();
        let text = |of: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
            uname.as_ref().map(|uname| of(uname).to_string_lossy().into_owned()).unwrap_or_default()
        };
        let kernel_version = text(|uname| uname.release());
        Self {
            kernel: text(|uname| uname.sysname()),
            kernel_architecture: text(|uname| uname.machine()),
            host_name: text(|uname| uname.nodename()),
            os_name: os_release(&os, "NAME"),
            os_version: os_release(&os, "VERSION_ID"),
            kernel_features: kernel_features(&kernel_version),
            kernel_version,
        }
    }
}

pub(super) fn environment(hull: &Hull) -> ServerEnvironment {
    let facts = &hull.server.facts;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let instance_drivers = hull.plugins.drivers(PluginKind::Instance);
    let pools = hull.storage.pools();
    let mut used: Vec<String> = pools.iter().map(|pool| pool.driver.clone()).collect();
    used.sort();
    used.dedup();
    ServerEnvironment {
        architectures: architectures(),
        driver: instance_drivers.join(" | "),
        driver_version: vec![version.clone(); instance_drivers.len()].join(" | "),
        firewall: "nftables".to_owned(),
        kernel: facts.kernel.clone(),
        kernel_architecture: facts.kernel_architecture.clone(),
        kernel_features: facts.kernel_features.clone(),
        kernel_version: facts.kernel_version.clone(),
        os_name: facts.os_name.clone(),
        os_version: facts.os_version.clone(),
        project: "default".to_owned(),
        server: "hull".to_owned(),
        server_event_mode: "full-mesh".to_owned(),
        server_name: facts.host_name.clone(),
        server_pid: std::process::id().into(),
        server_version: version.clone(),
        storage: used.join(" | "),
        storage_version: vec!["1".to_owned(); used.len()].join(" | "),
        storage_supported_drivers: hull.plugins.drivers(PluginKind::Storage).into_iter().map(storage_driver).collect(),
        ..ServerEnvironment::default()
    }
}

fn storage_driver(name: String) -> ServerStorageDriver {
    ServerStorageDriver { name, version: "1".to_owned(), remote: false }
}

/// The machine's own architecture, and the 32-bit one it runs beside it.
fn architectures() -> Vec<String> {
    let beside = match std::env::consts::ARCH {
        "x86_64" => Some("i686"),
        "aarch64" => Some("armv7l"),
        _ => None,
    };
    std::iter::once(architecture()).chain(beside.map(str::to_owned)).collect()
}

/// By the version that brought each: the kernel is not asked feature by feature.
fn kernel_features(version: &str) -> Config {
    const SINCE: [(&str, (u32, u32)); 6] = [
        ("idmapped_mounts", (5, 12)),
        ("netnsid_getifaddrs", (4, 18)),
        ("seccomp_listener", (5, 0)),
        ("seccomp_listener_continue", (5, 5)),
        ("uevent_injection", (4, 18)),
        ("unpriv_fscaps", (4, 14)),
    ];
    let version = release(version);
    let features = SINCE.iter().map(|(name, since)| ((*name).to_owned(), (version >= *since).to_string()));
    features.chain([("shiftfs".to_owned(), "false".to_owned())]).collect::<BTreeMap<_, _>>()
}

/// `6.18.44-x`: 6 and 18.
fn release(version: &str) -> (u32, u32) {
    let mut numbers = version.split(|one: char| !one.is_ascii_digit()).map(|text| text.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn os_release(document: &str, key: &str) -> String {
    let value = document.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_from_what_the_system_says() {
        let document = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n";
        assert_eq!(os_release(document, "NAME"), "Debian GNU/Linux");
        assert_eq!(os_release(document, "VERSION_ID"), "12");
        assert_eq!(os_release(document, "MISSING"), "");
        assert_eq!(release("6.18.44-fc"), (6, 18));
        assert_eq!(kernel_features("5.10.0")["idmapped_mounts"], "false");
        assert_eq!(kernel_features("6.18.44")["idmapped_mounts"], "true");
    }
}
