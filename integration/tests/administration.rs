//! What an administrator sets up, and what holds for instances that rely on it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use hull_integration::{Host, Target, until};
use serde_json::json;

#[test]
fn setting_up_again_adds_and_leaves_what_is_there() -> Result<()> {
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked(); // it would change the default profile
    }
    let client = host.clients()?.pop().context("our own client")?;
    host.rest.patch("/1.0/profiles/default", &json!({"description": "ours"}))?.metadata()?;
    // No cluster, a pool `more`, no bridge of either kind, the network that is not to be had, the rest as it is.
    let answers = "no\nyes\nmore\nno\nno\nyes\nall\n8443\nyes\nno\n";
    let asked = host.with(&client, &["admin", "init"], answers)?;
    assert!(asked.stderr.contains("its local socket only"), "{asked:?}");
    assert_eq!(asked.status, 0, "{asked:?}");
    assert_eq!(host.rest.get("/1.0/storage-pools/more")?.metadata()?["driver"], "dir");
    let profile = host.rest.get("/1.0/profiles/default")?.metadata()?;
    assert_eq!((&profile["devices"]["root"]["pool"], &profile["description"]), (&json!("default"), &json!("ours")));

    let preseed = "profiles:\n- name: default\n  config:\n    user.site: here\n";
    host.with(&client, &["admin", "init", "--preseed"], preseed)?.ok()?;
    let profile = host.rest.get("/1.0/profiles/default")?.metadata()?;
    assert_eq!((&profile["config"]["user.site"], &profile["description"]), (&json!("here"), &json!("ours")));
    let misspelt = host.with(&client, &["admin", "init", "--preseed"], "confg:\n  user.a: b\n")?;
    assert!(misspelt.status == 1 && misspelt.stderr.contains("confg"), "{misspelt:?}");
    host.client(&["storage", "delete", "more"])?.ok()?;
    host.assert_nothing_leaked()
}

#[test]
fn a_profile_does_not_take_its_instances_their_root_disk() -> Result<()> {
    let host = Host::ready()?;
    let _web = host.stopped("web")?;
    host.client(&["storage", "create", "other", "dir"])?.ok()?;
    for change in [
        &["profile", "device", "remove", "default", "root"][..],
        &["profile", "device", "set", "default", "root", "pool=other"],
    ] {
        let refused = host.client(change)?;
        let why = "At least one instance relies on this profile's root disk device";
        assert!(refused.status == 1 && refused.stderr.contains(why), "{change:?}: {refused:?}");
    }
    host.client(&["delete", "web"])?.ok()?;
    host.client(&["profile", "device", "set", "default", "root", "pool=other"])?.ok()?;
    host.client(&["profile", "device", "set", "default", "root", "pool=default"])?.ok()?;
    host.client(&["storage", "delete", "other"])?.ok()?;
    host.assert_nothing_leaked()
}

#[test]
fn a_profile_protects_its_instances() -> Result<()> {
    let host = Host::ready()?;
    let web = host.stopped("web")?;
    host.client(&["profile", "set", "default", "security.protection.delete=true"])?.ok()?;
    let refused = host.client(&["delete", "web"])?;
    assert!(refused.status == 1 && refused.stderr.contains("is protected"), "{refused:?}");
    // One that is to be gone with its end is.
    host.client(&["launch", "busybox", "fleeting", "--ephemeral"])?.ok()?;
    host.client(&["stop", "fleeting", "--force"])?.ok()?;
    until("the ephemeral instance is gone", Duration::from_secs(10), || {
        host.rest.get("/1.0/instances/fleeting").is_ok_and(|answer| answer.status == 404).then_some(())
    })?;
    host.client(&["profile", "unset", "default", "security.protection.delete"])?.ok()?;
    web.delete()?;
    host.assert_nothing_leaked()
}

#[test]
fn what_would_keep_an_instance_from_starting_is_refused_when_it_is_set() -> Result<()> {
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked();
    }
    let web = host.stopped("web")?;
    let raw = "raw.lxc=lxc.mount.entry = /x x none bind 0 0";
    for (key, why) in [
        ("limits.memory.swap=false", "only `limits.memory`"),
        ("snapshots.schedule=@daily", "snapshots"),
        ("security.privileged=true", "`security.nesting` covers most"),
        ("limits.kernel.nofile=abc", "`SOFT:HARD`"),
        ("limits.kernel.colour=1", "Unknown configuration key"),
        (raw, "`lxc.signal.halt`"),
    ] {
        let refused = host.client(&["config", "set", "web", key])?;
        assert!(refused.status == 1 && refused.stderr.contains(why), "{key}: {refused:?}");
    }
    let lines = "security.syscalls.deny=keyctl errno 38\n# and\nadd_key\n";
    host.client(&["config", "set", "web", lines, "limits.kernel.nofile=100:200"])?.ok()?;
    web.start()?;
    let limits = web.exec(&["cat", "/proc/self/limits"])?.ok()?;
    assert!(limits.lines().any(|line| line.starts_with("Max open files") && line.contains("100")), "{limits}");
    web.change("stop", true)?;
    web.delete()?;
    host.assert_nothing_leaked()
}
