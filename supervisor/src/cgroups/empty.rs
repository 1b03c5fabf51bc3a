//! Ending what is in a group, and removing it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Cgroup;
use super::hierarchy::CgroupError;
use crate::blocking::blocking;

/// Between the end of a group's last process and the moment the group can be removed.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks at a group whose processes are dying.
const LOOK: Duration = Duration::from_millis(5);

impl Cgroup {
    /// All processes in the group and below it.
    pub fn processes(&self) -> Vec<i32> {
        let mut found = BTreeSet::new();
        for hierarchy in self.hierarchies() {
            collect(&self.directory(hierarchy), &mut found);
        }
        found.into_iter().collect()
    }

    /// Kills every process in the group and below it, and waits until none is left.
    ///
    /// # Errors
    /// `Populated`: some live on after `patience` (in an uninterruptible system call).
    pub async fn kill_all(&self, patience: Duration) -> Result<(), CgroupError> {
        let until = Instant::now() + patience;
        loop {
            let processes = self.processes();
            if processes.is_empty() {
                return Ok(());
            }
            self.kill_unified();
            for pid in processes {
                // Gone already: that is what is wanted.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            if Instant::now() >= until {
                return Err(CgroupError::Populated { path: self.relative().to_owned() });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Removes the group and all below it; what is gone is fine. Its processes must have ended; the kernel may need a
    /// moment to forget them.
    pub async fn remove(&self) -> Result<(), CgroupError> {
        let until = Instant::now() + FORGOTTEN_WITHIN;
        for hierarchy in self.hierarchies() {
            let path = self.directory(hierarchy);
            while let Err(source) = blocking(|| remove_tree(&path)) {
                if source.kind() != io::ErrorKind::ResourceBusy || Instant::now() >= until {
                    return Err(CgroupError::Remove { path, source });
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// The same, again and again until `below` is gone: a process that has just ended is not forgotten at once.
    pub async fn tidy_until_gone(&self, below: &str, patience: Duration) {
        let until = Instant::now() + patience;
        loop {
            self.tidy();
            let left = self.child(below);
            if Instant::now() >= until || !left.hierarchies().iter().any(|hierarchy| left.directory(hierarchy).exists())
            {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Removes the group and those below it that are empty; the others stay.
    pub fn tidy(&self) {
        for hierarchy in self.hierarchies() {
            tidy(&self.directory(hierarchy));
        }
    }

    /// One write ends them all at once, even those that fork; Linux 5.14 and later.
    fn kill_unified(&self) {
        for hierarchy in self.hierarchies().iter().filter(|hierarchy| hierarchy.unified) {
            // Without this file the signals do it.
            let _ = fs::write(self.directory(hierarchy).join("cgroup.kill"), "1");
        }
    }
}

fn collect(directory: &Path, found: &mut BTreeSet<i32>) {
    let processes = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    // 0 is a process outside of our pid namespace.
    found.extend(processes.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    for below in folders(directory) {
        collect(&below, found);
    }
}

fn remove_tree(directory: &Path) -> io::Result<()> {
    for below in folders(directory) {
        remove_tree(&below)?;
    }
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn tidy(directory: &Path) {
    for below in folders(directory) {
        tidy(&below);
    }
    // One with processes, or with a group that has some, stays: that is the point.
    let _ = fs::remove_dir(directory);
}

fn folders(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::{CgroupLimits, Cgroups};

    #[tokio::test]
    async fn a_group_bounds_and_ends_its_processes_and_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let groups = Cgroups::open(place.path()).unwrap();
        let group = groups.instance("c1");
        group.create().unwrap();
        group.create().unwrap();
        group.set_limits(&CgroupLimits { memory: Some(64 << 20), processes: Some(20), ..Default::default() }).unwrap();
        group.restrict_devices().unwrap();
        group.delegate(1_000_000, 1_000_000).unwrap();
        assert_eq!(groups.instances(), ["c1"]);

        let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        for file in group.membership_files() {
            fs::write(file, child.id().to_string()).unwrap();
        }
        assert_eq!(group.processes(), [i32::try_from(child.id()).unwrap()]);

        let reaper = std::thread::spawn(move || child.wait().unwrap());
        group.kill_all(Duration::from_secs(5)).await.unwrap();
        assert!(!reaper.join().unwrap().success());
        groups.all().remove().await.unwrap();
        assert!(groups.instances().is_empty());
    }
}
