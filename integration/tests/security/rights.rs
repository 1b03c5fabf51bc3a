//! What the running processes may, beside what their manifests say (family T25).

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use hull_integration::Host;
use hull_plugin::{Manifest, User};

use crate::support::{image, import, only_hull, status_field};

/// By number, as in linux/capability.h.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

const MANIFESTS: [&str; 4] = [
    include_str!("../../../plugins/storage-dir/plugin.toml"),
    include_str!("../../../plugins/network-bridge/plugin.toml"),
    include_str!("../../../plugins/instance-container/plugin.toml"),
    include_str!("../../../plugins/image-file/plugin.toml"),
];

/// Sandboxes have ids from here on, each the first of so many.
const FIRST_ID: u32 = 0x7000_0000;
const IDS_OF_ONE: u32 = 65_536;

/// Exactly the capabilities of the manifest, over the host only where it says `host-root`, and users who are nobody else.
#[test]
fn sec_t25_every_process_has_the_rights_of_its_manifest() -> Result<()> {
    let host = Host::with_network()?;
    if !only_hull(&host) {
        return host.assert_nothing_leaked();
    }
    let web = host.running("web")?;
    web.address()?; // dnsmasq is nobody before it answers
    // A driver that has had nothing to do for long has ended.
    let again = image(&host, "again", |tree| Ok(fs::write(tree.join("rootfs/etc/again"), "again")?))?;
    import(&host, &again, "again")?.ok()?;
    let mut users = BTreeSet::new();
    for text in MANIFESTS {
        let manifest: Manifest = toml::from_str(text)?;
        let (name, sandbox) = (manifest.name.as_str(), &manifest.sandbox);
        let processes = host.processes_named(name);
        assert!(!processes.is_empty(), "{name} does not run");
        let mut own = BTreeSet::new();
        for pid in processes.into_iter().map(i64::from) {
            assert_walled(name, pid)?;
            assert_capabilities(name, pid, mask(&sandbox.capabilities)?)?;
            own.insert(identity(name, pid, sandbox.user)?);
        }
        own.remove(&0);
        assert!(users.is_disjoint(&own), "{name} is {own:?}, others are {users:?}");
        users.extend(own);
        if let Some(helper) = &manifest.helper {
            assert_helper(&host, mask(&helper.capabilities)?, &users)?;
        }
        for service in &manifest.services {
            assert_service(&host, &service.name, mask(&service.sandbox.capabilities)?)?;
        }
    }
    let gateways = host.processes_named("hull-gateway");
    assert!(!gateways.is_empty(), "the gateway does not run");
    for pid in gateways.into_iter().map(i64::from) {
        assert_walled("the gateway", pid)?;
        assert_capabilities("the gateway", pid, 0)?;
        let user = identity("the gateway", pid, User::Dynamic)?;
        assert!(!users.contains(&user), "the gateway shares user {user}");
    }
    host.assert_nothing_leaked()
}

/// The container driver's helper: its driver's user, and whatever it may, it may over namespaces that are not the host's.
fn assert_helper(host: &Host, allowed: u64, users: &BTreeSet<u32>) -> Result<()> {
    // The oldest is the one that makes the others.
    let oldest = i64::from(host.processes_named("hull-init").into_iter().min().context("hull-init does not run")?);
    assert_capabilities("hull-init", oldest, allowed)?;
    let user = identity("hull-init", oldest, User::InstanceIds)?;
    assert!(users.contains(&user), "hull-init is {user}, its driver is one of {users:?}");
    let of_host = fs::read_link("/proc/self/ns/user")?;
    for pid in host.processes_named("hull-init") {
        // One that has just ended has none.
        let Ok(own) = fs::read_link(format!("/proc/{pid}/ns/user")) else { continue };
        assert_ne!(own, of_host, "hull-init {pid}");
    }
    Ok(())
}

/// dnsmasq, which gives up more than it has to: it becomes nobody, and can become nobody else then.
fn assert_service(host: &Host, name: &str, allowed: u64) -> Result<()> {
    let changing_ids = mask(&["SETUID", "SETGID", "CHOWN"].map(str::to_owned))?;
    let processes = host.processes_named(name);
    assert!(!processes.is_empty(), "{name} does not run");
    for pid in processes.into_iter().map(i64::from) {
        assert_walled(name, pid)?;
        assert_eq!(capabilities(pid, "CapBnd")?, allowed, "{name}: CapBnd");
        for set in ["CapPrm", "CapEff"] {
            let had = capabilities(pid, set)?;
            assert_eq!(had & !(allowed & !changing_ids), 0, "{name}: {set} is {had:x}");
        }
        assert_ne!(only_id(pid, "Uid")?, 0, "{name}");
        assert_ne!(only_id(pid, "Gid")?, 0, "{name}");
    }
    Ok(())
}

/// Nothing that it executes gets more than it has, and it has a filter.
fn assert_walled(name: &str, pid: i64) -> Result<()> {
    assert_eq!(status_field(pid, "NoNewPrivs")?, "1", "{name}");
    assert_eq!(status_field(pid, "Seccomp")?, "2", "{name}");
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(capabilities(pid, set)?, 0, "{name}: {set}");
    }
    Ok(())
}

fn assert_capabilities(name: &str, pid: i64, allowed: u64) -> Result<()> {
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        let had = capabilities(pid, set)?;
        assert_eq!(had, allowed, "{name}: {set} is {had:x}, the manifest says {allowed:x}");
    }
    Ok(())
}

/// Its user on the host, which is what the manifest asks for.
fn identity(name: &str, pid: i64, wanted: User) -> Result<u32> {
    let (user, group) = (only_id(pid, "Uid")?, only_id(pid, "Gid")?);
    let own_namespace = fs::read_link(format!("/proc/{pid}/ns/user"))? != fs::read_link("/proc/self/ns/user")?;
    let in_namespace = matches!(wanted, User::Namespace | User::InstanceIds);
    assert_eq!(own_namespace, in_namespace, "{name}: a user namespace of its own");
    assert_eq!(group, user, "{name}");
    if wanted == User::HostRoot {
        assert_eq!(user, 0, "{name}");
    } else {
        let first_of_some = user >= FIRST_ID && (user - FIRST_ID).is_multiple_of(IDS_OF_ONE);
        assert!(first_of_some, "{name} is user {user}");
    }
    assert_eq!(status_field(pid, "Groups")?, "", "{name}");
    Ok(user)
}

/// A process has one user and one group: none is kept to go back to.
fn only_id(pid: i64, field: &str) -> Result<u32> {
    let line = status_field(pid, field)?;
    let ids: BTreeSet<&str> = line.split_whitespace().collect();
    assert_eq!(ids.len(), 1, "{pid}: {field} {line}");
    Ok(ids.first().context("an id")?.parse()?)
}

fn capabilities(pid: i64, set: &str) -> Result<u64> {
    Ok(u64::from_str_radix(&status_field(pid, set)?, 16)?)
}

fn mask(names: &[String]) -> Result<u64> {
    names.iter().try_fold(0, |mask, name| {
        let number = CAPABILITIES.iter().position(|known| known == name);
        Ok(mask | (1_u64 << number.with_context(|| format!("no capability is called `{name}`"))?))
    })
}
