//! Taking a host down by force, when its daemon no longer can: a failed story leaves nothing for the next one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::run;
use crate::leaks;

/// Ends every process of the daemon in `directory`, and removes its control groups, mounts, links and tables.
pub(crate) fn demolish(directory: &Path, network: Option<&str>) {
    let groups = groups(directory);
    for _ in 0..20 {
        let left: BTreeSet<i32> = groups.iter().flat_map(|group| processes(group)).collect();
        if left.is_empty() {
            break;
        }
        for pid in left {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL); // it may end this moment
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    groups.iter().for_each(|group| remove(group));
    if let Some(network) = network {
        let _ = run(Command::new("ip").args(["link", "delete", network]), "");
        let tables = run(Command::new("nft").args(["list", "tables"]), "").map(|list| list.stdout).unwrap_or_default();
        for table in tables.lines().filter(|line| line.contains(network)) {
            let _ = run(Command::new("nft").arg("delete").args(table.split(' ')), "");
        }
    }
    for link in leaks::tag(directory).iter().flat_map(|tag| leaks::links(tag)) {
        let _ = run(Command::new("ip").args(["link", "delete", link.trim_start_matches("link: ")]), "");
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let mut places: Vec<PathBuf> = places.filter(|place| place.starts_with(directory)).collect();
    places.sort_by_key(|place| std::cmp::Reverse(place.components().count()));
    for place in places {
        let _ = umount2(&place, MntFlags::MNT_DETACH);
    }
}

/// hulld's directory in every hierarchy, which it names after its own.
fn groups(directory: &Path) -> Vec<PathBuf> {
    let bytes = directory.as_os_str().as_encoded_bytes();
    let hash = bytes.iter().fold(0x811c_9dc5u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    let name = format!("hull-{hash:08x}");
    let root = Path::new("/sys/fs/cgroup");
    let mounted = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path().join(&name));
    mounted.chain([root.join(&name)]).filter(|path| path.is_dir()).collect()
}

fn processes(group: &Path) -> Vec<i32> {
    let own = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let own = own.lines().filter_map(|line| line.parse().ok());
    own.chain(below(group).iter().flat_map(|group| processes(group))).collect()
}

fn remove(group: &Path) {
    below(group).iter().for_each(|group| remove(group));
    let _ = fs::remove_dir(group); // one that is in use stays, and is seen by the next look for leaks
}

fn below(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}
