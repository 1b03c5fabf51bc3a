//! What a daemon left on the host: asked before it starts and after it has been cleaned up, it must be the same.
//!
//! Stories run beside each other, so only what is marked as one daemon's counts: its directory in mounts, processes and loop
//! devices, its name in the control group trees, its tag in links and nftables.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::command::run;

/// Everything on the host that belongs to the daemon with this HULL_DIR, whose story has its files in `folder`.
pub(crate) fn of(folder: &Path, hull_dir: &Path) -> BTreeSet<String> {
    let text = folder.display().to_string();
    let group = group_name(hull_dir);
    let mut found = BTreeSet::new();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    found.extend(mounts.lines().filter(|line| line.contains(&text)).map(|line| format!("mount: {line}")));
    found.extend(processes(&text, &group).into_iter().map(|(pid, line)| format!("process {pid}: {line}")));
    found.extend(control_groups(&mounts, &group));
    found.extend(loop_devices(&text));
    if let Some(tag) = tag(hull_dir) {
        found.extend(links(&tag));
        found.extend(tables(&tag));
    }
    found
}

/// Fails with the list if anything is left.
pub(crate) fn none_left(before: &BTreeSet<String>, folder: &Path, hull_dir: &Path) -> Result<()> {
    let left: Vec<String> = of(folder, hull_dir).difference(before).cloned().collect();
    if !left.is_empty() {
        bail!("left on the host:\n  {}", left.join("\n  "));
    }
    Ok(())
}

/// Descriptors that a process of the daemon should not have once all instances are gone: of their network and mount
/// namespaces, and of processes that have ended.
pub(crate) fn no_stale_descriptors(pid: i32) -> Result<()> {
    let stale: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))?
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().into_string().ok()?;
            let target = fs::read_link(entry.path()).ok()?.display().to_string();
            let dead = || {
                let text = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).unwrap_or_default();
                text.lines().any(|line| line.strip_prefix("Pid:").is_some_and(|value| value.trim() == "-1"))
            };
            let namespace = target.starts_with("net:[") || target.starts_with("mnt:[") || target.starts_with("pid:[");
            let process = target.contains("[pidfd]") && dead();
            (namespace || process)
                .then(|| format!("{number} -> {target}{}", if process { ", which has ended" } else { "" }))
        })
        .collect();
    if !stale.is_empty() {
        bail!("descriptors left in process {pid}:\n  {}", stale.join("\n  "));
    }
    Ok(())
}

/// The name of its directory in every control group hierarchy, as hulld makes it of HULL_DIR.
pub(crate) fn group_name(hull_dir: &Path) -> String {
    let path = hull_dir.canonicalize().unwrap_or_else(|_| hull_dir.to_owned());
    let hash = path
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    format!("hull-{hash:08x}")
}

/// The directories of a daemon in the control group hierarchies, v1 and v2.
pub(crate) fn group_directories(mounts: &str, group: &str) -> Vec<PathBuf> {
    let hierarchies = mounts.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        right.starts_with("cgroup").then(|| PathBuf::from(left.split(' ').nth(4).unwrap_or_default()))
    });
    hierarchies.map(|mount| mount.join(group)).filter(|path| path.is_dir()).collect()
}

/// What marks the links and tables of this daemon's network driver.
pub(crate) fn tag(hull_dir: &Path) -> Option<String> {
    let drivers = fs::read_dir(hull_dir.join("plugins")).into_iter().flatten().flatten();
    let mut tags = drivers.filter_map(|driver| fs::read_to_string(driver.path().join("state/tag")).ok());
    tags.next().map(|tag| tag.trim().to_owned())
}

/// The links with the mark of a daemon.
pub(crate) fn links(tag: &str) -> Vec<String> {
    let links = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let marked = links.filter(|link| {
        fs::read_to_string(link.path().join("ifalias")).is_ok_and(|alias| alias.trim() == format!("hull:{tag}"))
    });
    marked.map(|link| format!("link: {}", link.file_name().display())).collect()
}

fn tables(tag: &str) -> Vec<String> {
    let listing = run(Command::new("nft").args(["list", "tables"]), "").map(|done| done.stdout).unwrap_or_default();
    listing.lines().filter(|line| line.contains(&format!("hull-{tag}"))).map(|line| format!("nft: {line}")).collect()
}

fn control_groups(mounts: &str, group: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = group_directories(mounts, group);
    while let Some(directory) = open.pop() {
        let below = fs::read_dir(&directory).into_iter().flatten().flatten();
        open.extend(below.filter(|entry| entry.path().is_dir()).map(|entry| entry.path()));
        found.push(format!("control group: {}", directory.display()));
    }
    found
}

fn loop_devices(text: &str) -> Vec<String> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let backing = devices.filter_map(|device| {
        let file = fs::read_to_string(device.path().join("loop/backing_file")).ok()?;
        file.contains(text).then(|| format!("loop device {}: {}", device.file_name().display(), file.trim()))
    });
    backing.collect()
}

/// Processes that name the directory in their command line or environment, or are in the daemon's control groups.
pub(crate) fn processes(text: &str, group: &str) -> Vec<(i32, String)> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()).filter(|pid| *pid != own);
    pids.filter_map(|pid| {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let arguments = read("cmdline");
        let state = String::from_utf8_lossy(&read("stat")).rsplit(") ").next().map(|rest| rest.starts_with('Z'));
        if state == Some(true) {
            return None; // dead, and its new parent's to bury
        }
        let names = |bytes: &[u8], what: &str| String::from_utf8_lossy(bytes).contains(what);
        let is_its =
            names(&arguments, text) || names(&read("environ"), text) || names(&read("cgroup"), &format!("/{group}/"));
        is_its.then(|| (pid, String::from_utf8_lossy(&arguments).replace('\0', " ")))
    })
    .collect()
}
