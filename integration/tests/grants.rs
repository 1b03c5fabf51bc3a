//! Grants nobody uses: a daemon that records which of the allowed system calls its parts make does all that it can do, and
//! what was allowed and not made must be what the table beside this file says.
//!
//! It proves that a whole group, or a call granted by name, has a use; not that each call of a group has. The builder of
//! Debian images, which needs a mirror, is not asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use hull_integration::{Host, Instance, Settings, Target};
use serde_json::json;

const TABLE: &str = include_str!("grants/unused.txt");

#[test]
fn every_group_of_system_calls_is_used_by_whom_it_is_granted_to() -> Result<()> {
    let host = Host::placed(|folder, _| {
        let calls = folder.join("calls");
        fs::create_dir(&calls)?;
        Ok(Settings { environment: vec![("HULL_RECORD_SYSTEM_CALLS".into(), calls)], ..Settings::default() })
    })?
    .furnished()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked();
    }
    do_everything(&host)?;
    let records = Records::read(&host.folder().join("calls"))?;
    let unused = records.unused();
    assert_eq!(unused.trim(), TABLE.trim(), "\nwhat is granted and never used:\n{unused}\n");
    host.assert_nothing_leaked()
}

/// Whatever the drivers offer, once.
fn do_everything(host: &Host) -> Result<()> {
    let network = format!("hg{:08x}", rand::random::<u32>());
    let address = format!("10.{}.{}.1/24", rand::random_range(100..250), rand::random_range(0..250));
    let config = json!({"ipv4.address": address, "ipv4.nat": "true", "ipv6.address": "fd42:7:7:7::1/64"});
    host.rest.post("/1.0/networks", &json!({"name": network, "type": "bridge", "config": config}))?.metadata()?;
    let web = host.stopped("web")?;
    let device = format!("network={network}");
    host.client(&["config", "device", "add", "web", "eth0", "nic", &device, "name=eth0"])?.ok()?;
    host.rest.request("POST", "/1.0/instances/web/files?path=/early", &[("X-LXD-type", "file")], b"x")?.metadata()?;
    web.start()?;
    web.address()?;
    use_instance(host, &web)?;
    host.client(&["network", "list-leases", &network])?.ok()?;
    host.client(&["network", "info", &network])?.ok()?;
    host.client(&["network", "set", &network, "ipv4.dhcp.expiry=2h"])?.ok()?;
    host.client(&["storage", "info", "default"])?.ok()?;
    host.client(&["storage", "volume", "create", "default", "data"])?.ok()?;
    host.client(&["storage", "volume", "delete", "default", "data"])?.ok()?;
    for program in ["instance-container", "storage-dir", "network-bridge"] {
        for pid in host.processes_named(program) {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)?;
        }
    }
    assert_eq!(web.exec(&["hostname"])?.ok()?, "web\n");
    web.change("stop", true)?;
    host.client(&["move", "web", "other"])?.ok()?;
    host.client(&["delete", "other"])?.ok()?;
    host.client(&["network", "delete", &network])?.ok()?;
    Ok(())
}

fn use_instance(host: &Host, web: &Instance) -> Result<()> {
    let share = host.folder().join("share");
    fs::create_dir(&share)?;
    let source = format!("source={}", share.display());
    host.client(&["config", "device", "add", "web", "d1", "disk", &source, "path=/mnt"])?.ok()?;
    host.client(&["config", "device", "remove", "web", "d1"])?.ok()?;
    host.rest.request("POST", "/1.0/instances/web/files?path=/tmp/f", &[("X-LXD-type", "file")], b"x")?.metadata()?;
    host.rest.get("/1.0/instances/web/files?path=/tmp/f")?;
    host.rest.delete("/1.0/instances/web/files?path=/tmp/f")?.metadata()?;
    host.rest.get("/1.0/instances?recursion=2")?.metadata()?;
    host.rest.get("/1.0/instances/web/console")?;
    host.client(&["config", "set", "web", "limits.memory=200MiB"])?.ok()?;
    host.client(&["pause", "web"])?.ok()?;
    web.change("unfreeze", false)?;
    web.change("restart", true)
}

/// What was allowed to each process and what it did.
struct Records {
    granted: BTreeMap<String, BTreeSet<(String, String)>>,
    used: BTreeMap<String, BTreeSet<String>>,
}

impl Records {
    fn read(folder: &Path) -> Result<Self> {
        let mut records = Self { granted: BTreeMap::new(), used: BTreeMap::new() };
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let text = fs::read_to_string(entry.path())?;
            match name.strip_suffix(".granted") {
                Some(name) => {
                    let pairs = text.lines().filter_map(|line| line.split_once(' '));
                    let pairs = pairs.map(|(group, call)| (group.to_owned(), call.to_owned()));
                    records.granted.entry(process(name)).or_default().extend(pairs);
                }
                None => records.used.entry(process(&name)).or_default().extend(text.lines().map(str::to_owned)),
            }
        }
        records.granted.get("storage-dir").context("the storage driver was recorded")?;
        Ok(records)
    }

    /// Groups and named calls that a process was granted in vain.
    fn unused(&self) -> String {
        let mut lines = Vec::new();
        for (process, granted) in self.granted.iter().filter(|(process, _)| *process != "image-debian") {
            let groups: BTreeSet<&String> =
                granted.iter().map(|(group, _)| group).filter(|group| *group != "@base").collect();
            for group in groups {
                let used = granted
                    .iter()
                    .filter(|(of, _)| of == group)
                    .any(|(_, call)| self.used.get(process).is_some_and(|used| used.contains(call)));
                if !used {
                    lines.push(format!("{process}: {group}"));
                }
            }
        }
        lines.join("\n")
    }
}

/// `storage-dir@default` and its like are one; a service is called by its plugin.
fn process(name: &str) -> String {
    let name = name.split('@').next().unwrap_or(name);
    name.split_once('.').map_or_else(|| name.to_owned(), |(plugin, _)| format!("{plugin}, its service"))
}
