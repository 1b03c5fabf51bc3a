//! The cgroups of containers, as Hull shows them: `/cgroup/CONTROLLER` (v1) and `/cgroup/unified` (v2).

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use hull_plugin::{Code, DriverError};

const ROOT: &str = "/cgroup";
const UNIFIED: &str = "unified";

/// Where processes of a container are placed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    pub(crate) legacy: Vec<String>,
    pub(crate) unified: Option<String>,
}

/// The groups `path` that Hull has made.
///
/// # Errors
/// `InvalidConfig`: the path leads elsewhere. `NotFound`: there is no such group in any hierarchy.
pub(crate) fn groups(path: &str) -> Result<Groups, DriverError> {
    let plain = |component| matches!(component, Component::Normal(_));
    if path.is_empty() || !Path::new(path).components().all(plain) {
        return Err(DriverError::invalid("cgroup", format!("`{path}` is no path below `{ROOT}`")));
    }
    let mut groups = Groups::default();
    for hierarchy in hierarchies()? {
        let group = hierarchy.join(path);
        if !group.is_dir() {
            continue;
        }
        let text = group.to_string_lossy().into_owned();
        if hierarchy.ends_with(UNIFIED) { groups.unified = Some(text) } else { groups.legacy.push(text) }
    }
    if groups.legacy.is_empty() && groups.unified.is_none() {
        return Err(DriverError::new(Code::NotFound, format!("no cgroup `{path}` in any hierarchy below `{ROOT}`")));
    }
    Ok(groups)
}

fn hierarchies() -> Result<Vec<PathBuf>, DriverError> {
    let entries = fs::read_dir(ROOT).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| DriverError::system(&error, format!("cannot list `{ROOT}`")))?;
    // `cpu` beside `cpu,cpuacct` is a link.
    let directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    Ok(entries.iter().filter(|entry| directory(entry)).map(fs::DirEntry::path).collect())
}

/// A file of a v1 controller's group.
pub(crate) fn legacy(controller: &str, group: &str, file: &str) -> PathBuf {
    Path::new(ROOT).join(controller).join(group).join(file)
}

pub(crate) fn unified(group: &str, file: &str) -> PathBuf {
    legacy(UNIFIED, group, file)
}

/// Stops all processes of the group where they are, or lets them go on.
pub(crate) async fn set_frozen(group: &str, frozen: bool) -> Result<(), DriverError> {
    let old = legacy("freezer", group, "freezer.state");
    let (file, wish) = if old.exists() {
        (old, if frozen { "FROZEN" } else { "THAWED" })
    } else {
        (unified(group, "cgroup.freeze"), if frozen { "1" } else { "0" })
    };
    fs::write(&file, wish).map_err(|error| {
        DriverError::system(&error, format!("cannot write `{wish}` to `{}`", file.display()))
            .hint("this file must belong to the driver's user")
    })?;
    let settled = async {
        while is_frozen(group) != Some(frozen) {
            tokio::time::sleep(Duration::from_millis(1)).await; // between two looks: the kernel has no event for v1
        }
    };
    tokio::time::timeout(Duration::from_secs(10), settled).await.map_err(|_| {
        DriverError::new(Code::DeadlineExceeded, format!("cgroup `{group}` did not become {wish} within 10 seconds"))
    })
}

/// `None`: on the way there, or unknown.
pub(crate) fn is_frozen(group: &str) -> Option<bool> {
    if let Ok(text) = fs::read_to_string(legacy("freezer", group, "freezer.state")) {
        return match text.trim() {
            "FROZEN" => Some(true),
            "THAWED" => Some(false),
            _ => None,
        };
    }
    let events = fs::read_to_string(unified(group, "cgroup.events")).ok()?;
    keyed(&events, "frozen").map(|value| value == 1)
}

/// The number after `key` in a file of `key number` lines.
pub(crate) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// A file that holds one number; `max` and the kernel's "no limit" are `None`.
pub(crate) fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}
