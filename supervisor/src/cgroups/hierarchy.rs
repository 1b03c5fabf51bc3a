//! Which hierarchies this machine has, from /proc/self/mountinfo.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("cannot read the mount table")]
    Mounts(#[source] io::Error),
    #[error("no control group file system is mounted")]
    None,
    #[error("cannot make the control group `{}`", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("cannot set `{value}` in `{}`", path.display())]
    Set { path: PathBuf, value: String, source: io::Error },
    #[error("cannot hand `{}` to user {user}", path.display())]
    Delegate { path: PathBuf, user: u32, source: io::Error },
    #[error("processes in control group `{}` do not end", path.display())]
    Populated { path: PathBuf },
    #[error("cannot remove the control group `{}`", path.display())]
    Remove { path: PathBuf, source: io::Error },
}

/// One mounted control group tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// How plugins see it below `/cgroup`: `memory`, `cpu,cpuacct`, `systemd`; `unified` for v2.
    pub(super) label: String,
    /// Empty for v2, where it is asked for at need.
    pub(super) controllers: Vec<String>,
    pub(super) unified: bool,
    pub(super) mount: PathBuf,
}

impl Hierarchy {
    pub(super) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|one| one == controller)
    }
}

pub(super) fn mounted() -> Result<Vec<Hierarchy>, CgroupError> {
    let table = fs::read_to_string("/proc/self/mountinfo").map_err(CgroupError::Mounts)?;
    let mut found = parse(&table);
    for hierarchy in found.iter_mut().filter(|hierarchy| hierarchy.unified) {
        let controllers = fs::read_to_string(hierarchy.mount.join("cgroup.controllers")).unwrap_or_default();
        hierarchy.controllers = controllers.split_whitespace().map(str::to_owned).collect();
    }
    if found.is_empty() { Err(CgroupError::None) } else { Ok(found) }
}

fn parse(table: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in table.lines() {
        let Some(hierarchy) = parse_line(line) else { continue };
        // The same tree mounted twice is one tree; the first mount will do.
        if !found.iter().any(|known| known.unified == hierarchy.unified && known.controllers == hierarchy.controllers) {
            found.push(hierarchy);
        }
    }
    found
}

fn parse_line(line: &str) -> Option<Hierarchy> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (_root, mount) = (left.next()?, PathBuf::from(left.next()?));
    let mut right = right.split(' ');
    let (kind, options) = (right.next()?, right.nth(1)?);
    match kind {
        "cgroup2" => Some(Hierarchy { label: "unified".into(), controllers: Vec::new(), unified: true, mount }),
        "cgroup" => {
            let ignored = |word: &&str| !matches!(*word, "rw" | "ro" | "xattr" | "clone_children" | "noprefix");
            let controllers: Vec<String> = options.split(',').filter(ignored).map(str::to_owned).collect();
            let label = label_of(&mount, &controllers)?;
            Some(Hierarchy { label, controllers, unified: false, mount })
        }
        _ => None,
    }
}

fn label_of(mount: &Path, controllers: &[String]) -> Option<String> {
    let from_mount = mount.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    from_mount.or_else(|| controllers.first().map(|name| name.trim_start_matches("name=").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_hybrid_and_v2_are_told_apart() {
        let hybrid = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                      40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n\
                      31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n";
        let found = parse(hybrid);
        assert_eq!(found.len(), 3);
        assert!(found[0].has("cpuacct") && found[0].label == "cpu,cpuacct" && !found[0].unified);
        assert!(found[1].has("name=systemd") && found[1].label == "systemd");
        assert!(found[2].unified && found[2].label == "unified");

        let unified = parse("30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n");
        assert_eq!(unified.len(), 1);
        assert_eq!(unified[0].label, "unified");
    }

    #[test]
    fn this_machine_has_some() {
        assert!(!mounted().unwrap().is_empty());
    }
}
