//! Everything on the machine that belongs to one daemon, counted: after each fault it must be as before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::Host;
use crate::command::run;
use crate::host::children;
use crate::leaks;

/// What there is. Names where they stay the same over a restart of a part, numbers where not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inventory {
    things: BTreeSet<String>,
    counts: BTreeMap<String, i64>,
}

impl Inventory {
    pub(super) fn of(host: &Host) -> Result<Self> {
        let mut inventory = Self::default();
        let folder = host.folder().display().to_string();
        let processes = host.processes();
        inventory.mounts(&folder);
        inventory.loops(&folder);
        inventory.cgroups(host.supervisor());
        let tag = leaks::tag(&host.directory()).unwrap_or_default();
        inventory.links(host.network().unwrap_or_default(), &tag);
        inventory.tables(host.network().unwrap_or_default(), &tag)?;
        inventory.namespaces(&processes);
        inventory.processes(&processes);
        for (name, pid) in [("hulld", host.supervisor()), ("the keeper", host.keeper())] {
            inventory.descriptors(name, pid);
        }
        inventory.without_what_plugins_need();
        Ok(inventory)
    }

    /// What is there that was not, and what is missing; a lower count than before is no loss.
    pub(super) fn difference(&self, before: &Self) -> Vec<String> {
        let new = self.things.difference(&before.things).map(|thing| format!("new: {thing}"));
        let missing = before
            .things
            .difference(&self.things)
            .filter(|thing| !is_of_plugin(thing))
            .map(|thing| format!("missing: {thing}"));
        let mut found: Vec<String> = new.chain(missing).collect();
        for (name, count) in &self.counts {
            let known = before.counts.get(name).copied().unwrap_or(0);
            if *count > known {
                found.push(format!("{name}: {known} became {count}"));
            }
        }
        found
    }

    /// The most lenient of two: for a baseline that is looked at more than once. A fresh daemon makes the control groups of
    /// its plugins anew, one by one.
    pub(super) fn or(mut self, other: &Self) -> Self {
        self.things.extend(other.things.iter().filter(|thing| is_of_plugin(thing)).cloned());
        for (name, count) in &other.counts {
            let own = self.counts.entry(name.clone()).or_insert(*count);
            *own = (*own).max(*count);
        }
        self
    }

    /// By what they are: sockets, pipes and the kernel's anonymous things without their numbers.
    fn descriptors(&mut self, name: &str, pid: Option<i32>) {
        let folder = pid.and_then(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok());
        let links = folder.into_iter().flatten().flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        for link in links {
            let text = link.to_string_lossy();
            let kind = match text.split_once(":[") {
                Some((kind @ ("socket" | "pipe"), _)) => kind,
                _ => &text,
            };
            *self.counts.entry(format!("descriptors of {name}, {kind}")).or_default() += 1;
        }
    }

    fn mounts(&mut self, folder: &str) {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let ours = table.lines().filter(|line| line.contains(folder));
        self.things.extend(ours.filter_map(|line| Some(format!("mount {}", line.split(' ').nth(4)?))));
    }

    fn loops(&mut self, folder: &str) {
        for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
            let file = fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
            if file.contains(folder) {
                self.things.insert(format!("loop device of {}", file.trim()));
            }
        }
    }

    /// The groups below hulld's own directory of every hierarchy, which is found by a plugin's or instance's membership.
    fn cgroups(&mut self, supervisor: Option<i32>) {
        let Some(root) = supervisor.and_then(group_directory) else { return };
        let mut groups = BTreeSet::new();
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            collect_groups(&hierarchy.path().join(&root), Path::new(&root), &mut groups);
        }
        collect_groups(&Path::new("/sys/fs/cgroup").join(&root), Path::new(&root), &mut groups);
        self.things.extend(groups.into_iter().filter(|name| !is_of_further_process(name)));
    }

    /// The network's bridge and what is connected to it, and all with the driver's mark; names of veth ends are chosen anew each
    /// time.
    fn links(&mut self, network: &str, tag: &str) {
        self.counts.insert("links".into(), leaks::links(tag).len() as i64);
        let ports = fs::read_dir(format!("/sys/class/net/{network}/brif")).map_or(0, Iterator::count) as i64;
        self.counts.insert(format!("ports of {network}"), ports);
        let names = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        self.things.extend(names.filter(|name| name.starts_with(network)).map(|name| format!("link {name}")));
    }

    /// The tables of the network and of the instances' devices, by name; their rules by number, since those name veth ends.
    fn tables(&mut self, network: &str, tag: &str) -> Result<()> {
        let device_table = format!("hull-{tag}");
        let listed = run(Command::new("nft").args(["list", "tables"]), "")?.ok()?;
        for table in listed.lines().filter(|line| line.contains(network) || line.ends_with(&device_table)) {
            let words = table.split(' ').skip(1); // `table inet NAME`
            let rules = run(Command::new("nft").args(["list", "table"]).args(words), "")?.stdout;
            self.counts.insert(format!("lines of nft {table}"), rules.lines().count() as i64);
            self.things.insert(format!("nft {table}"));
        }
        Ok(())
    }

    /// Which plugins run is compared by name: what hulld has for each of them, and the network each is in, is not counted.
    fn without_what_plugins_need(&mut self) {
        let kinds = ["storage-", "network-", "instance-", "image-"].map(|kind| format!("processes `{kind}"));
        let is_plugin = |name: &str| kinds.iter().any(|kind| name.starts_with(kind));
        let plugins: i64 = self.counts.iter().filter(|(name, _)| is_plugin(name)).map(|(_, count)| *count).sum();
        let each = [("anon_inode:[pidfd]", 1), ("anon_inode:seccomp notify", 1), ("socket", 3), ("pipe", 1)];
        let each = each.map(|(kind, count)| (format!("descriptors of hulld, {kind}"), count));
        for (name, count) in each.into_iter().chain([("network namespaces".to_owned(), 1)]) {
            self.counts.entry(name).and_modify(|all| *all -= count * plugins);
        }
    }

    fn namespaces(&mut self, processes: &[i32]) {
        let of = |pid: &i32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let all: BTreeSet<_> = processes.iter().filter_map(of).collect();
        self.counts.insert("network namespaces".into(), all.len() as i64);
    }

    fn processes(&mut self, processes: &[i32]) {
        for pid in processes {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let name = line.split(|byte| *byte == 0).next().unwrap_or_default();
            // Programs that Hull runs for a moment have no place here, nor those of instances.
            let name = String::from_utf8_lossy(name).into_owned();
            *self.counts.entry(format!("processes `{name}`")).or_default() += 1;
        }
    }
}

fn collect_groups(path: &Path, shown: &Path, groups: &mut BTreeSet<String>) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let name = shown.join(entry.file_name());
            // What an instance's own init makes below its group is its business.
            if name.components().count() < 4 {
                collect_groups(&entry.path(), &name, groups);
            }
            groups.insert(format!("cgroup {}", name.display()));
        }
    }
}

/// `…/plugins/storage-dir@default~2`: a process beside another of its plugin has a group of its own, which may outlive it for a
/// minute. There are never more than this.
fn is_of_further_process(group: &str) -> bool {
    let number = group.split_once('~').map(|(_, rest)| rest.split('/').next().unwrap_or_default());
    number.and_then(|number| number.parse().ok()).is_some_and(|number: u32| number <= 5)
}

fn is_of_plugin(thing: &str) -> bool {
    thing.starts_with("cgroup ") && thing.contains("/plugins/")
}

/// `hull-0123abcd`, which hulld has made of its directory's name.
fn group_directory(supervisor: i32) -> Option<String> {
    children(supervisor).into_iter().find_map(|child| {
        let groups = fs::read_to_string(format!("/proc/{child}/cgroup")).ok()?;
        let name = groups.lines().find_map(|line| line.split("/hull-").nth(1)?.split('/').next().map(str::to_owned))?;
        Some(format!("hull-{name}"))
    })
}
