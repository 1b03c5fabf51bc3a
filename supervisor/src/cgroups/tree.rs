//! The directories themselves.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::hierarchy::{CgroupError, Hierarchy, mounted};
use crate::blocking::blocking;

/// Controllers that v2 groups get where the machine has them.
const WANTED: [&str; 6] = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb"];

/// All groups of one hulld. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cgroups(Arc<Root>);

#[derive(Debug)]
struct Root {
    name: String,
    hierarchies: Vec<Hierarchy>,
}

/// One group, in all hierarchies.
#[derive(Clone, Debug)]
pub struct Cgroup {
    root: Arc<Root>,
    relative: PathBuf,
}

impl Cgroups {
    /// Makes (or finds) the directories for the hulld of `hull_dir`.
    pub fn open(hull_dir: &Path) -> Result<Self, CgroupError> {
        let hull_dir = hull_dir.canonicalize().unwrap_or_else(|_| hull_dir.to_owned());
        let name = format!("hull-{:08x}", fnv(hull_dir.as_os_str().as_bytes()));
        let root = Arc::new(Root { name, hierarchies: mounted()? });
        let groups = Self(root);
        for below in ["", "plugins", "services", "instances"] {
            groups.group(Path::new(below)).create()?;
        }
        Ok(groups)
    }

    pub fn plugin(&self, name: &str) -> Cgroup {
        self.group(&Path::new("plugins").join(file_name(name)))
    }

    pub fn service(&self, key: &str) -> Cgroup {
        self.group(&Path::new("services").join(file_name(key)))
    }

    pub fn instance(&self, id: &str) -> Cgroup {
        self.group(&Path::new("instances").join(file_name(id)))
    }

    /// The groups of all instances that are there, by name.
    pub fn instances(&self) -> Vec<String> {
        let names = |hierarchy: &Hierarchy| {
            let entries = fs::read_dir(hierarchy.mount.join(&self.0.name).join("instances")).into_iter().flatten();
            let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            folders.filter_map(|entry| entry.file_name().into_string().ok()).collect::<Vec<_>>()
        };
        let mut all: Vec<String> = self.0.hierarchies.iter().flat_map(names).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Each hierarchy's label and Hull's directory in it: what a plugin with `cgroup = true` sees below `/cgroup`.
    pub(crate) fn directories(&self) -> Vec<(String, PathBuf)> {
        let directory = |hierarchy: &Hierarchy| (hierarchy.label.clone(), hierarchy.mount.join(&self.0.name));
        self.0.hierarchies.iter().map(directory).collect()
    }

    /// Hull's whole subtree as a group.
    pub fn all(&self) -> Cgroup {
        self.group(Path::new(""))
    }

    fn group(&self, relative: &Path) -> Cgroup {
        Cgroup { root: self.0.clone(), relative: relative.to_owned() }
    }
}

impl Cgroup {
    /// Its path below Hull's directory, as instance drivers are told it: `instances/c1`.
    pub fn relative(&self) -> &Path {
        &self.relative
    }

    /// A group below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self { root: self.root.clone(), relative: self.relative.join(file_name(name)) }
    }

    /// Makes the group in every hierarchy; one that exists is kept as it is.
    pub fn create(&self) -> Result<(), CgroupError> {
        blocking(|| self.make())
    }

    fn make(&self) -> Result<(), CgroupError> {
        for hierarchy in &self.root.hierarchies {
            let path = self.directory(hierarchy);
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(source) => return Err(CgroupError::Create { path, source }),
            }
            // Drivers find their way through it as nobody; hulld's own umask is for hulld's files.
            let seen = fs::set_permissions(&path, fs::Permissions::from_mode(0o755));
            seen.map_err(|source| CgroupError::Create { path: path.clone(), source })?;
            if hierarchy.unified {
                enable_controllers(hierarchy, &path);
            } else if hierarchy.has("cpuset") {
                inherit_cpuset(&path);
            }
        }
        Ok(())
    }

    /// The files to which a process number is written to put the process into the group.
    pub fn membership_files(&self) -> Vec<PathBuf> {
        let file = |hierarchy| self.directory(hierarchy).join("cgroup.procs");
        self.root.hierarchies.iter().map(file).collect()
    }

    /// Those of [`Cgroup::membership_files`] that bound and identify: enough for a plugin, and cheaper (each v1 hierarchy
    /// costs a move of its own).
    pub(crate) fn essential_membership_files(&self) -> Vec<PathBuf> {
        let essential = |hierarchy: &&Hierarchy| {
            hierarchy.unified || ["memory", "pids", "devices"].iter().any(|controller| hierarchy.has(controller))
        };
        let file = |hierarchy| self.directory(hierarchy).join("cgroup.procs");
        self.root.hierarchies.iter().filter(essential).map(file).collect()
    }

    pub(super) fn hierarchies(&self) -> &[Hierarchy] {
        &self.root.hierarchies
    }

    pub(super) fn directory(&self, hierarchy: &Hierarchy) -> PathBuf {
        hierarchy.mount.join(&self.root.name).join(&self.relative)
    }

    /// The directory in the v1 hierarchy of `controller`, if v1 has it.
    pub(super) fn v1(&self, controller: &str) -> Option<PathBuf> {
        let found = self.root.hierarchies.iter().find(|hierarchy| !hierarchy.unified && hierarchy.has(controller));
        found.map(|hierarchy| self.directory(hierarchy))
    }

    /// The directory in v2, if v2 has `controller`.
    pub(super) fn v2(&self, controller: &str) -> Option<PathBuf> {
        let found = self.root.hierarchies.iter().find(|hierarchy| hierarchy.unified && hierarchy.has(controller));
        found.map(|hierarchy| self.directory(hierarchy))
    }
}

/// Makes the controllers of the parent usable in a new v2 group. What the machine does not let us have is missed where a
/// limit is set, with an error of its own.
fn enable_controllers(hierarchy: &Hierarchy, path: &Path) {
    let Some(parent) = path.parent() else { return };
    for controller in WANTED.iter().filter(|controller| hierarchy.has(controller)) {
        let control = parent.join("cgroup.subtree_control");
        if let Err(error) = fs::write(&control, format!("+{controller}")) {
            tracing::debug!(%error, controller, path = %control.display(), "controller not available");
        }
    }
}

/// A v1 cpuset takes no process before it has processors and memory.
fn inherit_cpuset(path: &Path) {
    let Some(parent) = path.parent() else { return };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let copied = fs::read_to_string(parent.join(file)).and_then(|value| fs::write(path.join(file), value.trim()));
        if let Err(error) = copied {
            tracing::warn!(%error, file, path = %path.display(), "cannot initialise the cpuset");
        }
    }
}

/// Names are checked where they enter; this keeps the directory flat whatever comes.
fn file_name(name: &str) -> String {
    name.replace('/', "_")
}

fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
