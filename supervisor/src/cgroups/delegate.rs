//! Giving a group to a container's root: what it needs to make groups of its own, never the limits set on it.

use std::io;
use std::os::unix::fs::chown;
use std::path::PathBuf;

use super::hierarchy::{CgroupError, Hierarchy};
use super::{Cgroup, Cgroups};

impl Cgroup {
    /// Lets `user` make groups below this one and move its processes among them.
    pub fn delegate(&self, user: u32, group: u32) -> Result<(), CgroupError> {
        for hierarchy in self.hierarchies() {
            let directory = self.directory(hierarchy);
            give(directory.clone(), user, group)?;
            for file in delegated_files(hierarchy) {
                give(directory.join(file), user, group)?;
            }
        }
        Ok(())
    }
}

impl Cgroups {
    /// Lets `user` (an instance driver) move its helpers from its own group into the instances' in v2, where the mover
    /// needs write access to the common ancestor's `cgroup.procs`.
    pub(crate) fn let_move(&self, user: u32) -> Result<(), CgroupError> {
        let all = self.all();
        for hierarchy in all.hierarchies().iter().filter(|hierarchy| hierarchy.unified) {
            give(all.directory(hierarchy).join("cgroup.procs"), user, 0)?;
        }
        Ok(())
    }
}

fn delegated_files(hierarchy: &Hierarchy) -> &'static [&'static str] {
    if hierarchy.unified {
        &["cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "cgroup.freeze"]
    } else {
        &["cgroup.procs", "tasks", "freezer.state"]
    }
}

/// Files that a kernel does not have are passed over.
fn give(path: PathBuf, user: u32, group: u32) -> Result<(), CgroupError> {
    match chown(&path, Some(user), Some(group)) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(CgroupError::Delegate { path, user, source }),
        _ => Ok(()),
    }
}
