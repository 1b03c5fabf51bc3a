//! What the machine must have: looked for where it would be used, without changing anything.

use std::path::{Path, PathBuf};

use hull_api::DoctorCheck;

use crate::hull::Hull;
use crate::look;

pub(super) const OK: &str = "ok";
pub(super) const MISSING: &str = "missing";
pub(super) const WRONG: &str = "wrong";

/// Less than this, and the next write of the database may fail.
const LEAST_SPACE: u64 = 64 << 20;
/// Those that can be mounted id-mapped, and since which kernel.
const ID_MAPPED: [(&str, (u32, u32)); 9] = [
    ("ext4", (5, 12)),
    ("xfs", (5, 12)),
    ("vfat", (5, 12)),
    ("btrfs", (5, 15)),
    ("f2fs", (5, 18)),
    ("erofs", (5, 19)),
    ("tmpfs", (6, 3)),
    ("zfs", (5, 12)),
    ("bcachefs", (6, 10)),
];

pub(super) async fn checks(hull: &Hull) -> Vec<DoctorCheck> {
    let kernel = kernel_version();
    let mut checks =
        vec![id_mapped_mounts(kernel), user_namespaces(), control_groups(), ids(), landlock(), own_views()];
    checks.extend(programs(hull));
    checks.extend(pools(hull, kernel).await);
    checks.extend(networks(hull));
    checks.push(space(hull).await);
    checks.push(warnings(hull));
    checks
}

fn check(name: &str, verdict: &str, detail: impl Into<String>, hint: impl Into<String>) -> DoctorCheck {
    let (detail, hint) = (detail.into(), if verdict == OK { String::new() } else { hint.into() });
    DoctorCheck { name: name.to_owned(), verdict: verdict.to_owned(), detail, hint }
}

fn kernel_version() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|one: char| !one.is_ascii_digit()).map(|text| text.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn id_mapped_mounts((major, minor): (u32, u32)) -> DoctorCheck {
    let verdict = if (major, minor) >= (5, 12) { OK } else { WRONG };
    check("id-mapped mounts", verdict, format!("Linux {major}.{minor}"), "Hull needs Linux 5.12 or newer")
}

fn user_namespaces() -> DoctorCheck {
    let limit = std::fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    let limit: u64 = limit.trim().parse().unwrap_or(0);
    let verdict = if limit > 0 { OK } else { WRONG };
    let hint = "set the sysctl user.max_user_namespaces to a number that is not 0";
    check("user namespaces", verdict, format!("at most {limit}"), hint)
}

fn control_groups() -> DoctorCheck {
    let table = look::mount_table();
    let kind = |line: &str| line.split_once(" - ").and_then(|(_, right)| right.split(' ').next().map(str::to_owned));
    let kinds: Vec<String> = table.lines().filter_map(kind).collect();
    let has = |word: &str| kinds.iter().any(|kind| kind == word);
    let layout = match (has("cgroup"), has("cgroup2")) {
        (true, true) => "version 1 and 2 side by side",
        (true, false) => "version 1",
        (false, true) => "version 2",
        (false, false) => "none",
    };
    let controllers = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let enabled =
        |name: &str| controllers.lines().any(|line| line.starts_with(&format!("{name}\t")) && line.ends_with('1'));
    let absent: Vec<&str> =
        ["memory", "pids", "cpu", "cpuset", "freezer"].into_iter().filter(|name| !enabled(name)).collect();
    if layout == "none" {
        return check(
            "control groups",
            WRONG,
            "no control group file system is mounted",
            "mount cgroup2 at /sys/fs/cgroup",
        );
    }
    match absent.as_slice() {
        [] => check("control groups", OK, layout, ""),
        absent => {
            let detail = format!("{layout}, without {}", absent.join(", "));
            check(
                "control groups",
                MISSING,
                detail,
                "limits that need these controllers are refused; see the kernel's command line",
            )
        }
    }
}

fn own_views() -> DoctorCheck {
    let is_there = Path::new("/var/lib/lxcfs/proc/meminfo").exists();
    let (verdict, detail) = match is_there {
        true => (OK, "containers see their own limits in /proc"),
        false => (MISSING, "programs in containers see the host's memory and processors; limits hold all the same"),
    };
    check("lxcfs", verdict, detail, "install and start lxcfs, then restart the containers")
}

fn ids() -> DoctorCheck {
    let of_root = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let ranges = text.lines().filter(|line| line.starts_with("root:") || line.starts_with("0:"));
        let counts = ranges.filter_map(|line| line.rsplit(':').next()?.trim().parse::<u64>().ok());
        (counts.max(), !text.trim().is_empty())
    };
    let (users, groups) = (of_root("/etc/subuid"), of_root("/etc/subgid"));
    let hint = "give root a range of at least 65536 in /etc/subuid and in /etc/subgid: `root:1000000:1000000000`";
    match (users.0, groups.0) {
        (Some(users), Some(groups)) if users >= 65_536 && groups >= 65_536 => {
            check("ids for containers", OK, format!("{users} user and {groups} group ids"), "")
        }
        (None, None) => check("ids for containers", OK, "none are set aside for root: 1000000 and up are taken", ""),
        _ => check(
            "ids for containers",
            WRONG,
            "root's ranges of users and groups are too small, or one is missing",
            hint,
        ),
    }
}

fn landlock() -> DoctorCheck {
    let modules = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    let has = modules.trim().split(',').any(|name| name == "landlock");
    let detail = if has { "drivers are confined by it, too" } else { "the kernel has none, or does not say" };
    check(
        "landlock",
        if has { OK } else { MISSING },
        detail,
        "drivers stay in their mount namespaces without it; Linux 5.13 has it",
    )
}

/// What the manifests say that drivers start.
fn programs(hull: &Hull) -> Vec<DoctorCheck> {
    let mut checks = Vec::new();
    for (manifest, _) in hull.plugins.manifests() {
        let services = manifest.services.iter().map(|service| PathBuf::from(&service.program));
        let wanted: Vec<PathBuf> = manifest.sandbox.execute.iter().cloned().chain(services).collect();
        let absent = wanted.iter().filter(|path| path.starts_with("/usr") && !path.exists());
        let absent: Vec<String> = absent.map(|path| path.display().to_string()).collect();
        if !absent.is_empty() {
            let detail = format!("`{}` starts {}, which is not there", manifest.name, absent.join(" and "));
            checks.push(check("programs", WRONG, detail, "install the packages that have them"));
        }
    }
    if checks.is_empty() {
        checks.push(check("programs", OK, "all that the drivers start are there", ""));
    }
    checks
}

async fn pools(hull: &Hull, kernel: (u32, u32)) -> Vec<DoctorCheck> {
    let table = look::mount_table();
    let looks = hull.storage.sources(hull).into_iter().map(|(pool, source)| {
        let kind = look::file_system(&table, &source).kind;
        async move {
            let name = format!("storage pool {pool}");
            let exists = look::at(&source, Path::is_dir).await;
            let place = source.display();
            let Ok(exists) = exists else {
                return check(
                    &name,
                    WRONG,
                    format!("`{place}` does not answer"),
                    "see whether its disk or server works",
                );
            };
            if !exists {
                return check(&name, WRONG, format!("`{place}` is not there"), "mount it, or bring its disk back");
            }
            let since = ID_MAPPED.iter().find(|(known, _)| *known == kind).map(|(_, since)| *since);
            match since {
                Some(since) if kernel >= since => check(&name, OK, format!("`{place}` on {kind}"), ""),
                _ => check(
                    &name,
                    MISSING,
                    format!("`{place}` is on {kind}, which this kernel may not be able to mount id-mapped"),
                    "containers start only from a file system that can: ext4, xfs, btrfs, …",
                ),
            }
        }
    });
    futures::future::join_all(looks).await
}

fn networks(hull: &Hull) -> Vec<DoctorCheck> {
    let all = hull.networks.complaints().into_iter().map(|(name, why)| {
        let name = format!("network {name}");
        match why {
            None => check(&name, OK, "up", ""),
            Some(why) => check(&name, WRONG, why, "mend that, then restart the daemon: containers run on"),
        }
    });
    all.collect()
}

async fn space(hull: &Hull) -> DoctorCheck {
    let asked = look::at(&hull.directory, nix::sys::statvfs::statvfs).await;
    let place = hull.directory.display();
    match asked {
        Ok(Ok(found)) => {
            let free = found.blocks_available().saturating_mul(found.fragment_size());
            let verdict = if free >= LEAST_SPACE { OK } else { WRONG };
            check(
                "space",
                verdict,
                format!("{} MiB free in `{place}`", free >> 20),
                "free some: the database must be written",
            )
        }
        _ => check("space", WRONG, format!("`{place}` does not answer"), "see whether its disk works"),
    }
}

fn warnings(hull: &Hull) -> DoctorCheck {
    match hull.warnings.open() {
        0 => check("warnings", OK, "none", ""),
        count => check("warnings", MISSING, format!("{count} not resolved"), "`hull warning list` shows them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_run_containers() {
        for found in [id_mapped_mounts(kernel_version()), user_namespaces(), control_groups(), ids()] {
            assert_ne!(found.verdict, WRONG, "{found:?}");
        }
    }
}
