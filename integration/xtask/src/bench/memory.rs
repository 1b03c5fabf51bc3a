//! What a daemon costs in memory: the proportional share of it and of everything it started, containers' own aside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Bytes and processes of one side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Footprint {
    pub(crate) pss: f64,
    pub(crate) processes: f64,
}

/// Adds up the daemon `pid`, what descends from it, and what names its `directory` in its arguments (LXD's monitors and
/// dnsmasq are not its children). Processes that run the containers' busybox are the guests' own.
pub(crate) fn footprint(pid: i32, directory: &Path) -> Footprint {
    let parents = parents();
    let directory = directory.to_string_lossy();
    let named = parents.keys().copied().filter(|pid| arguments(*pid).contains(directory.as_ref()));
    let mut ours = with_descendants(named.chain([pid]).collect(), &parents);
    ours.remove(&std::process::id().cast_signed());
    let mut sum = Footprint::default();
    for pid in ours.into_iter().filter(|pid| !is_guest(*pid)) {
        if let Some(pss) = pss(pid) {
            sum.pss += pss;
            sum.processes += 1.0;
        }
    }
    sum
}

/// The process of one part of the daemon `pid`: the supervisor, or the plugin in whose control group's name `name` is.
pub(crate) fn part(pid: i32, name: &str) -> Option<i32> {
    with_descendants(BTreeSet::from([pid]), &parents()).into_iter().find(|pid| {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let plugin =
            groups.lines().filter_map(|line| line.split_once("/plugins/")).any(|(_, plugin)| plugin.contains(name));
        plugin || (name == "supervisor" && arguments(*pid).contains("--supervisor"))
    })
}

fn with_descendants(mut ours: BTreeSet<i32>, parents: &BTreeMap<i32, i32>) -> BTreeSet<i32> {
    loop {
        let more: Vec<i32> = parents
            .iter()
            .filter(|(pid, parent)| ours.contains(parent) && !ours.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            return ours;
        }
        ours.extend(more);
    }
}

fn parents() -> BTreeMap<i32, i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Some((pid, parent(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect()
}

/// The fourth field; the second, in parentheses, may hold anything.
fn parent(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn arguments(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_guest(pid: i32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path.ends_with("busybox"))
}

fn pss(pid: i32) -> Option<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()? * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_a_strange_name_has_a_parent() {
        assert_eq!(parent("12 (a) b (c)) S 7 12 12 0"), Some(7));
    }

    #[test]
    fn this_process_takes_memory() {
        let me = std::process::id().cast_signed();
        assert!(pss(me).unwrap() > 100_000.0);
    }
}
