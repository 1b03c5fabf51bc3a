//! What the host's other users see of Hull (families T10, T11, T12), and what Hull itself may.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use hull_integration::{Host, run};

use crate::support::{Canary, only_hull, status_field};

/// CVE-2024-25621: the folders are nobody else's, either.
#[test]
fn sec_cve_2015_8222_the_socket_is_not_for_everybody() -> Result<()> {
    let mut host = Host::ready()?;
    for round in ["started", "restarted"] {
        let socket = fs::metadata(host.directory().join("unix.socket"))?;
        assert_eq!((socket.mode() & 0o7777, socket.uid()), (0o660, 0), "{round}");
        host.restart_daemon()?;
    }
    if only_hull(&host) {
        for (name, mode) in [("database", 0o700), ("images", 0o700), ("storage-pools", 0o700), ("plugins", 0o700)] {
            let found = fs::metadata(host.directory().join(name))?;
            assert_eq!((found.mode() & 0o7777, found.uid()), (mode, 0), "{name}");
        }
        let database = fs::metadata(host.directory().join("database/hull.db"))?;
        assert_eq!(database.mode() & 0o077, 0, "{:o}", database.mode());
    }
    host.assert_nothing_leaked()
}

#[test]
fn sec_cve_2020_15257_no_abstract_socket_listens() -> Result<()> {
    let host = Host::ready()?;
    if !only_hull(&host) {
        return host.assert_nothing_leaked();
    }
    host.running("web")?;
    let ours: Vec<u64> = all_processes(&host).into_iter().flat_map(socket_inodes).collect();
    assert!(!ours.is_empty());
    for line in fs::read_to_string("/proc/net/unix")?.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (inode, name) = (fields.get(6).and_then(|text| text.parse().ok()), fields.get(7));
        let ours = inode.is_some_and(|inode: u64| ours.contains(&inode));
        assert!(!ours || name.is_none_or(|name| !name.starts_with('@')), "{line}");
    }
    host.assert_nothing_leaked()
}

/// CVE-2016-1581, CVE-2025-64507: what a container has made set-user-id is out of the host users' reach.
#[test]
fn sec_cve_2025_64507_a_set_user_id_file_of_a_container_helps_no_host_user() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let make = "cp /bin/busybox /root/raise; chmod 4755 /root/raise; chmod 755 /root /";
    web.exec(&[
        "sh",
        "-c",
        &format!("PATH=/bin; {}", make.replace("cp ", "/bin/busybox cp ").replace("chmod ", "/bin/busybox chmod ")),
    ])?
    .ok()?;
    let pools = host.directory().join("storage-pools");
    let found = run(Command::new("find").arg(&pools).args(["-name", "raise", "-perm", "-4000"]), "")?.ok()?;
    let file = found.lines().next().context("the file is in the pool")?;
    let as_nobody = |arguments: &[&str]| {
        run(Command::new("setpriv").args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args(arguments), "")
    };
    assert_ne!(as_nobody(&[file, "id"])?.status, 0, "{file} can be run by nobody");
    assert_ne!(as_nobody(&["stat", file])?.status, 0, "{file} can be seen by nobody");
    assert_ne!(as_nobody(&["ls", &pools.display().to_string()])?.status, 0);
    host.assert_nothing_leaked()
}

/// CVE-2015-1340: no start walks over a container's files to change their owners, so none can be led out by a link.
#[test]
fn sec_cve_2015_1340_no_start_changes_owners() -> Result<()> {
    let host = Host::ready()?;
    let canary = Canary::new(&host)?;
    let web = host.running("web")?;
    let outside = canary.folder.display();
    let files = format!(
        "PATH=/bin; echo x > /root/marked; busybox ln -s {outside} /root/folder; \
         busybox ln -s {outside}/file /root/file; busybox ln -s /proc/1/root{outside}/file /root/magic"
    );
    web.exec(&["sh", "-c", &files])?.ok()?;
    let pools = host.directory().join("storage-pools");
    let found = run(Command::new("find").arg(&pools).args(["-name", "marked"]), "")?.ok()?;
    let mut watched = vec![canary.folder.clone(), canary.file()];
    if only_hull(&host) {
        watched.push(found.lines().next().context("the file is in the pool")?.into());
    }
    // A change of owner or mode changes the time, even one to what they were.
    let looks = |path: &PathBuf| -> Result<(u32, u32, u32, i64, i64)> {
        let now = fs::symlink_metadata(path)?;
        Ok((now.uid(), now.gid(), now.mode(), now.ctime(), now.ctime_nsec()))
    };
    let before = watched.iter().map(looks).collect::<Result<Vec<_>>>()?;
    for _ in 0..3 {
        web.change("stop", true)?;
        web.start()?;
        assert_eq!(watched.iter().map(looks).collect::<Result<Vec<_>>>()?, before, "{watched:?}");
    }
    canary.assert_untouched()?;
    host.assert_nothing_leaked()
}

/// CVE-2015-1331: a lock file where everybody may put a link in its place. Hull has no file open in such a folder.
#[test]
fn sec_cve_2015_1331_no_file_of_ours_where_everybody_writes() -> Result<()> {
    let host = Host::ready()?;
    if !only_hull(&host) {
        return host.assert_nothing_leaked();
    }
    host.running("web")?;
    let everybodys = ["/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/var/lock", "/run/shm"];
    let ours = all_processes(&host).into_iter().chain(host.keeper()).chain(host.supervisor());
    let mut seen = 0;
    for pid in ours {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            seen += 1;
            // What has no name any more cannot be replaced; the story's own folder is nobody else's.
            let named = !target.to_string_lossy().ends_with(" (deleted)") && !target.starts_with(host.folder());
            let exposed = named && everybodys.iter().any(|folder| target.starts_with(folder));
            assert!(!exposed, "{pid} has {} open", target.display());
        }
    }
    assert!(seen > 0, "nothing was looked at");
    host.assert_nothing_leaked()
}

/// CVE-2016-1582: whatever happens to the mapping, inside root is root and outside it is nobody.
#[test]
fn sec_cve_2016_1582_the_ids_inside_are_nobody_outside() -> Result<()> {
    let mut host = Host::ready()?;
    for round in 0..2 {
        let web = if round == 0 {
            host.running("web")?
        } else {
            hull_integration::Instance { host: &host, name: "web".into() }
        };
        let pid = web.pid()?;
        let user: u32 = status_field(pid, "Uid")?.split_whitespace().next().context("a user")?.parse()?;
        assert!(user >= 65_536, "init is {user} on the host");
        web.exec(&["sh", "-c", "echo x > /root/made; exec cat /root/made"])?.ok()?;
        assert_eq!(web.exec(&["stat", "-c", "%u:%g", "/root/made"])?.ok()?, "0:0\n");
        let maps = fs::read_to_string(format!("/proc/{pid}/uid_map"))?;
        assert!(maps.lines().all(|line| line.split_whitespace().nth(1) != Some("0")), "{maps}");
        web.change("stop", true)?;
        web.start()?;
        if round == 0 {
            host.restart_daemon()?;
        }
    }
    host.assert_nothing_leaked()
}

/// hulld trims what it does not need. What each of its parts may is in `rights.rs`.
#[test]
fn sec_t25_hulld_and_its_parts_have_no_more_than_they_use() -> Result<()> {
    let host = Host::ready()?;
    if !only_hull(&host) {
        return host.assert_nothing_leaked();
    }
    host.running("web")?;
    let supervisor = host.supervisor().context("a supervisor")?;
    // SYS_MODULE, SYS_RAWIO, SYS_PACCT, SYS_BOOT, SYS_TIME, MAC_OVERRIDE, MAC_ADMIN, SYSLOG, PERFMON, BPF.
    let never: u64 = [16, 17, 20, 22, 25, 32, 33, 34, 38, 39].iter().map(|bit| 1_u64 << bit).sum();
    for set in ["CapBnd", "CapPrm", "CapEff"] {
        let had = u64::from_str_radix(&status_field(supervisor.into(), set)?, 16)?;
        assert_eq!(had & never, 0, "{set} of the supervisor: {had:x}");
    }
    for pid in all_processes(&host) {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
        let core = limits.lines().find(|line| line.starts_with("Max core file size"));
        assert!(core.is_none_or(|line| line.split_whitespace().nth(4) == Some("0")), "{pid}: {core:?}");
    }
    let confined = ["storage-dir", "image-file", "instance-container", "hull-gateway"];
    for name in confined {
        let processes = host.processes_named(name);
        assert!(!processes.is_empty(), "{name} does not run");
        for pid in processes {
            assert_eq!(status_field(pid.into(), "NoNewPrivs")?, "1", "{name}");
            assert_eq!(status_field(pid.into(), "Seccomp")?, "2", "{name}");
            assert_eq!(status_field(pid.into(), "CapInh")?, "0000000000000000", "{name}");
        }
    }
    // Containers have neither from outside: set-user-id programs work in them.
    let web = hull_integration::Instance { host: &host, name: "web".into() };
    assert_eq!(status_field(web.pid()?, "NoNewPrivs")?, "0");
    assert!(!host.log().contains("system call refused"), "ordinary work is refused:\n{}", host.log());
    host.assert_nothing_leaked()
}

fn all_processes(host: &Host) -> Vec<i32> {
    let names = ["hulld", "gateway", "storage-dir", "image-file", "instance-container", "hull-init", "network-bridge"];
    names.iter().flat_map(|name| host.processes_named(name)).collect()
}

fn socket_inodes(pid: i32) -> Vec<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    let inode = |target: std::path::PathBuf| target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    targets.filter_map(inode).collect()
}
