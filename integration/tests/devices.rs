//! Devices, profiles and limits of an instance that runs.

use anyhow::{Context, Result};
use hull_integration::{Host, Instance, Target};
use serde_json::json;

#[test]
fn a_disk_comes_changes_and_goes_while_it_runs() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let share = host.folder().join("share");
    std::fs::create_dir(&share)?;
    std::fs::set_permissions(&share, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    std::fs::write(share.join("f"), "shared\n")?;
    let source = format!("source={}", share.display());
    for client in host.clients()? {
        let device = |arguments: &[&str]| host.with(&client, &[&["config", "device"], arguments].concat(), "")?.ok();
        device(&["add", "web", "d1", "disk", &source, "path=/mnt/deep"])?;
        assert_eq!(web.exec(&["cat", "/mnt/deep/f"])?.ok()?, "shared\n");
        assert_eq!(device(&["list", "web"])?, "d1\n");
        device(&["set", "web", "d1", "readonly=true"])?;
        assert_eq!(web.exec(&["touch", "/mnt/deep/g"])?.status, 1);
        device(&["unset", "web", "d1", "readonly"])?;
        web.exec(&["touch", "/mnt/deep/g"])?.ok()?;
        device(&["remove", "web", "d1"])?;
        assert_eq!(web.exec(&["cat", "/mnt/deep/f"])?.status, 1);
    }
    host.assert_nothing_leaked()
}

#[test]
fn the_files_of_a_shifted_disk_are_the_containers_own() -> Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked(); // here it says: Required idmapping abilities not available
    }
    let web = host.running("web")?;
    let share = host.folder().join("share");
    std::fs::create_dir(&share)?;
    std::fs::write(share.join("secret"), "of root\n")?;
    std::fs::set_permissions(share.join("secret"), std::fs::Permissions::from_mode(0o600))?;
    let source = format!("source={}", share.display());
    host.client(&["config", "device", "add", "web", "d1", "disk", &source, "path=/mnt/d1"])?.ok()?;
    assert_eq!(web.exec(&["cat", "/mnt/d1/secret"])?.status, 1, "the host's root is nobody inside");
    for round in ["changed while it runs", "from its start"] {
        host.client(&["config", "device", "set", "web", "d1", "shift=true"])?.ok()?;
        assert_eq!(web.exec(&["cat", "/mnt/d1/secret"])?.ok()?, "of root\n", "{round}");
        let file = format!("/mnt/d1/made {round}");
        web.exec(&["touch", &file])?.ok()?;
        assert_eq!(std::fs::metadata(share.join(format!("made {round}")))?.uid(), 0, "{round}");
        host.client(&["restart", "-f", "web"])?.ok()?;
    }
    let unset = host.client(&["config", "device", "set", "web", "d1", "shift=perhaps"])?;
    assert!(unset.status == 1 && unset.stderr.contains("perhaps"), "{unset:?}");
    host.assert_nothing_leaked()
}

#[test]
fn a_nic_comes_survives_the_daemon_and_goes_while_it_runs() -> Result<()> {
    let mut host = Host::with_network()?;
    let second = format!("{}b", host.network().context("the host has a network")?);
    let create = ["network", "create", &second, "ipv4.address=10.249.251.1/24", "ipv6.address=none"];
    host.client(&create)?.ok()?;
    host.running("web")?;
    for client in host.clients()? {
        let network = format!("network={second}");
        let add = ["config", "device", "add", "web", "eth7", "nic", &network, "name=eth7"];
        host.with(&client, &add, "")?.ok()?;
        host.restart_daemon()?;
        let web = Instance { host: &host, name: "web".into() };
        web.exec(&["ip", "link", "set", "eth7", "up"])?.ok()?;
        assert_eq!(web.exec(&["cat", "/sys/class/net/eth7/operstate"])?.ok()?, "up\n");
        host.with(&client, &["config", "device", "remove", "web", "eth7"], "")?.ok()?;
        assert_eq!(web.exec(&["ls", "/sys/class/net/eth7"])?.status, 1);
        assert_eq!(web.exec(&["cat", "/sys/class/net/eth0/operstate"])?.ok()?, "up\n");
    }
    host.client(&["delete", "web", "--force"])?.ok()?;
    host.client(&["network", "delete", &second])?.ok()?;
    host.assert_nothing_leaked()
}

/// How many mounts the instance has in one place.
fn mounts(instance: &Instance<'_>, place: &str) -> Result<usize> {
    let table = instance.exec(&["cat", "/proc/self/mountinfo"])?.ok()?;
    Ok(table.lines().filter(|line| line.split(' ').nth(4) == Some(place)).count())
}

#[test]
fn a_change_that_fails_half_way_is_taken_back() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let share = host.folder().join("share");
    std::fs::create_dir(&share)?;
    std::fs::write(share.join("f"), "shared\n")?;
    let disk = |path: &str| json!({"type": "disk", "source": share, "path": path});
    // In the order of their names; the second cannot be: what would be its parent is a file.
    let devices = json!({"devices": {"d1": disk("/mnt/one"), "d2": disk("/etc/passwd/two")}});
    let refused = host.rest.patch("/1.0/instances/web", &devices)?;
    assert!(refused.status >= 400 && refused.error()?.contains("Failed to start device \"d2\""), "{refused:?}");
    assert_eq!(host.rest.get("/1.0/instances/web")?.metadata()?["devices"], json!({}));
    assert_eq!(mounts(&web, "/mnt/one")?, 0);
    // What was taken back can be had again, and once.
    host.rest.patch("/1.0/instances/web", &json!({"devices": {"d1": disk("/mnt/one")}}))?.metadata()?;
    assert_eq!(mounts(&web, "/mnt/one")?, 1);
    assert_eq!(web.exec(&["cat", "/mnt/one/f"])?.ok()?, "shared\n");
    host.assert_nothing_leaked()
}

#[test]
fn a_change_that_the_end_of_hulld_cuts_is_finished_by_the_next() -> Result<()> {
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked();
    }
    let web = host.running("web")?;
    let share = host.folder().join("share");
    std::fs::create_dir(&share)?;
    std::fs::write(share.join("f"), "shared\n")?;
    let driver = *host.processes_named("instance-container").first().context("a driver of containers runs")?;
    let stop = |signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(driver), signal);
    stop(nix::sys::signal::SIGSTOP)?;
    std::thread::scope(|scope| -> Result<()> {
        scope.spawn(|| {
            let disk = json!({"devices": {"d1": {"type": "disk", "source": share, "path": "/mnt/one"}}});
            host.rest.patch("/1.0/instances/web", &disk) // never answered
        });
        let recorded = hull_integration::until("the change is recorded", std::time::Duration::from_secs(5), || {
            let web = host.rest.get("/1.0/instances/web").ok()?.metadata().ok()?;
            web["devices"]["d1"].is_object().then_some(())
        });
        std::thread::sleep(std::time::Duration::from_millis(100)); // the driver is asked
        host.kill_supervisor()?;
        recorded
    })?;
    hull_integration::until("the disk is there", std::time::Duration::from_secs(20), || {
        (web.exec(&["cat", "/mnt/one/f"]).ok()?.stdout == "shared\n").then_some(())
    })?;
    assert_eq!(mounts(&web, "/mnt/one")?, 1);
    host.assert_nothing_leaked()
}

#[test]
fn a_start_that_fails_is_followed_by_one_that_works() -> Result<()> {
    let host = Host::ready()?;
    let web = host.stopped("web")?;
    let nic = json!({"devices": {"eth0": {"type": "nic", "nictype": "bridged", "parent": "ht-missing"}}});
    host.rest.patch("/1.0/instances/web", &nic)?;
    assert!(web.start().is_err(), "its bridge is missing");
    let without = json!({"devices": {"eth0": {"type": "none"}}});
    host.rest.patch("/1.0/instances/web", &without)?.metadata()?;
    web.start()?;
    assert_eq!(web.exec(&["hostname"])?.ok()?, "web\n");
    host.assert_nothing_leaked()
}

#[test]
fn a_profile_changes_the_instances_that_run_with_it() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let share = host.folder().join("share");
    std::fs::create_dir(&share)?;
    std::fs::write(share.join("f"), "shared\n")?;
    let source = format!("source={}", share.display());
    for client in host.clients()? {
        let does = |arguments: &[&str]| host.with(&client, arguments, "")?.ok();
        does(&["profile", "create", "shares"])?;
        does(&["profile", "add", "web", "shares"])?;
        does(&["profile", "device", "add", "shares", "d1", "disk", &source, "path=/mnt"])?;
        assert_eq!(web.exec(&["cat", "/mnt/f"])?.ok()?, "shared\n");
        assert_eq!(host.with(&client, &["profile", "delete", "shares"], "")?.status, 1, "it is in use");
        does(&["profile", "remove", "web", "shares"])?;
        assert_eq!(web.exec(&["cat", "/mnt/f"])?.status, 1);
        does(&["profile", "delete", "shares"])?;
    }
    host.assert_nothing_leaked()
}

#[test]
fn a_limit_holds_at_once() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    for client in host.clients()? {
        host.with(&client, &["config", "set", "web", "limits.memory=100MiB"], "")?.ok()?;
        assert!(memory_limits(&web)?.contains(&(100 << 20)), "{client}: {:?}", memory_limits(&web)?);
        host.with(&client, &["config", "unset", "web", "limits.memory"], "")?.ok()?;
        assert!(!memory_limits(&web)?.contains(&(100 << 20)), "{client}");
    }
    host.assert_nothing_leaked()
}

/// The limits of the instance's cgroup and of those above it, in either version of cgroups.
fn memory_limits(instance: &Instance) -> Result<Vec<u64>> {
    let mut limits = Vec::new();
    for line in std::fs::read_to_string(format!("/proc/{}/cgroup", instance.pid()?))?.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().context("controllers")?, parts.next().context("path")?);
        let (base, file) = match controllers {
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ => continue,
        };
        let folder = std::path::Path::new(base).join(path.trim_start_matches('/'));
        let texts = folder.ancestors().filter_map(|folder| std::fs::read_to_string(folder.join(file)).ok());
        limits.extend(texts.filter_map(|text| text.trim().parse::<u64>().ok()));
    }
    Ok(limits)
}

#[test]
fn what_the_server_lists_as_extensions_is_what_lxd_calls_them() -> Result<()> {
    let host = Host::empty()?;
    let server = host.rest.get("/1.0")?.metadata()?;
    let extensions: Vec<&str> =
        server["api_extensions"].as_array().context("a list")?.iter().filter_map(|one| one.as_str()).collect();
    // `lxc list` and `lxc network info` refuse to work without these.
    for needed in ["api_filtering", "network_state", "container_full", "instances", "etag"] {
        assert!(extensions.contains(&needed), "{needed}");
    }
    if host.target() == Target::Hull {
        assert!(!extensions.contains(&"clustering"), "there are no clusters");
    }
    host.assert_nothing_leaked()
}
