//! What a fault of the host leaves of a daemon: nothing but its files.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::{run, until};
use crate::leaks;

/// Ends every process of the daemon and removes all that the kernel keeps for it: what a restart of the host does.
pub(crate) fn clear_kernel(folder: &Path, hull_dir: &Path) -> Result<()> {
    let tag = leaks::tag(hull_dir);
    until("the processes of the daemon and its instances end", Duration::from_secs(10), || {
        let left = leaks::processes(&folder.display().to_string(), &leaks::group_name(hull_dir));
        for (pid, _) in &left {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL); // one that has just ended
        }
        left.is_empty().then_some(())
    })?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    for group in leaks::group_directories(&mounts, &leaks::group_name(hull_dir)) {
        until("the control groups can be removed", Duration::from_secs(5), || remove_groups(&group).ok())?;
    }
    for link in tag.iter().flat_map(|tag| leaks::links(tag)) {
        let name = link.trim_start_matches("link: ");
        drop(run(Command::new("ip").args(["link", "delete", name]), "")?); // one end of a pair takes the other along
    }
    if let Some(tag) = tag {
        delete_tables(&tag)?;
    }
    let left = leaks::of(folder, hull_dir);
    match left.iter().find(|one| one.starts_with("process") || one.starts_with("link") || one.starts_with("nft")) {
        Some(one) => bail!("the host's restart left {one}"),
        None => Ok(()),
    }
}

/// The processes in the control groups below one of a daemon's.
pub(crate) fn processes_below(hull_dir: &Path, below: &str) -> Vec<i32> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut open: Vec<_> = leaks::group_directories(&mounts, &leaks::group_name(hull_dir));
    open.iter_mut().for_each(|path| path.push(below));
    let mut found = std::collections::BTreeSet::new();
    while let Some(group) = open.pop() {
        let processes = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        found.extend(processes.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
        let entries = std::fs::read_dir(&group).into_iter().flatten().flatten();
        open.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    found.into_iter().collect()
}

fn remove_groups(group: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(group)?.flatten().filter(|entry| entry.path().is_dir()) {
        remove_groups(&entry.path())?;
    }
    std::fs::remove_dir(group)
}

fn delete_tables(tag: &str) -> Result<()> {
    let listing = run(Command::new("nft").args(["list", "tables"]), "")?.stdout;
    for line in listing.lines().filter(|line| line.contains(&format!("hull-{tag}"))) {
        let words: Vec<&str> = line.split_whitespace().collect();
        run(Command::new("nft").arg("delete").args(words), "")?.ok()?;
    }
    Ok(())
}
