//! A part of the host is missing when the daemon starts, and comes later: the daemon is ready all the same, the other objects
//! work, the one that is missing says so, and works again when it is back.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hull_integration::{Host, Instance, Settings, Target, until};
use serde_json::json;

/// A second, for a machine that does nothing else.
const READY: Duration = Duration::from_secs(5);

#[test]
fn a_pool_that_is_away_and_comes_back() -> Result<()> {
    let mut host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked(); // does not start without a pool
    }
    host.rest.post("/1.0/storage-pools", &json!({"name": "other", "driver": "dir", "config": {}}))?.metadata()?;
    on_pool(&host, "far", "other")?;
    host.running("near")?.change("stop", true)?;
    let place = host.directory().join("storage-pools/other");
    let away = host.folder().join("away");

    ready_within(&mut host, || Ok(fs::rename(&place, &away)?))?;
    assert_eq!(pool_status(&host, "other")?, "Unavailable");
    assert_eq!(pool_status(&host, "default")?, "Created");
    Instance { host: &host, name: "near".into() }.start()?;
    host.stopped("new")?;
    let refused = start(&host, "far").unwrap_err().to_string();
    assert!(refused.contains("other") && refused.contains(&place.display().to_string()), "{refused}");
    // Another directory at its place, as of a disk that is not mounted, is not the pool.
    fs::create_dir(&place)?;
    let refused = start(&host, "far").unwrap_err().to_string();
    assert!(refused.contains("other"), "{refused}");
    fs::remove_dir_all(&place)?;

    fs::rename(&away, &place)?;
    start(&host, "far").with_context(|| host.log())?;
    assert_eq!(pool_status(&host, "other")?, "Created");
    // The same while the daemon runs.
    Instance { host: &host, name: "far".into() }.change("stop", true)?;
    fs::rename(&place, &away)?;
    assert!(start(&host, "far").is_err());
    assert_eq!(pool_status(&host, "other")?, "Unavailable");
    // It keeps no other pool from a new driver, and gets that itself when it is back.
    let source = host.another_version("version")?;
    let upgrade = host.rest.post("/1.0/plugins/storage-dir/upgrade", &json!({"source": source}))?;
    host.rest.wait(&upgrade).with_context(|| host.log())?;
    let plugin = host.rest.get("/1.0/plugins/storage-dir")?.metadata()?;
    assert!(plugin["executable"].as_str().is_some_and(|path| path.contains("plugins-installed")), "{plugin}");
    host.stopped("newer")?;
    fs::rename(&away, &place)?;
    start(&host, "far").with_context(|| host.log())?;
    host.rest.wait(&host.rest.post("/1.0/plugins/storage-dir/rollback", &json!({}))?).with_context(|| host.log())?;
    Instance { host: &host, name: "far".into() }.change("stop", true)?;
    host.assert_nothing_leaked()
}

#[test]
fn a_driver_that_is_away_and_comes_back() -> Result<()> {
    let programs = programs_of_its_own()?;
    let settings = Settings { programs: Some(programs.path().to_owned()), ..Settings::default() };
    let mut host = Host::placed(|_, _| Ok(settings))?.furnished()?.networked()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked(); // one program
    }
    host.running("web")?.change("stop", true)?;
    for (driver, says) in [("storage-dir", "dir"), ("network-bridge", "bridge"), ("instance-container", "container")] {
        let (program, away) = (programs.path().join(driver), programs.path().join("away").join(driver));
        ready_within(&mut host, || fs::rename(&program, &away).with_context(|| format!("{program:?}")))?;
        assert_eq!(host.rest.get("/1.0/instances?recursion=2")?.status, 200);
        let refused = start(&host, "web").unwrap_err().to_string();
        assert!(refused.contains(says), "without {driver}: {refused}");
        fs::rename(&away, &program).with_context(|| format!("{away:?}"))?;
        until(&format!("`{driver}` is used again"), Duration::from_secs(15), || start(&host, "web").ok())
            .with_context(|| host.log())?;
        Instance { host: &host, name: "web".into() }.change("stop", true)?;
    }
    host.assert_nothing_leaked()
}

#[test]
fn a_network_that_cannot_come_up_and_then_can() -> Result<()> {
    let mut host = Host::with_network()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked();
    }
    let network = host.network().context("the host has a network")?.to_owned();
    host.stopped("web")?;
    // After a restart of the host somebody else has its interface's name.
    let peer = format!("p{network}");
    host.restart_host_after(|_| ip(&["link", "add", &network, "type", "veth", "peer", "name", &peer]))?;
    until("the network says how it is", Duration::from_secs(10), || {
        (network_status(&host, &network).ok()? == "Unavailable").then_some(())
    })?;
    let refused = start(&host, "web").unwrap_err().to_string();
    assert!(refused.contains(&network), "{refused}");
    ip(&["link", "delete", &network])?;
    until("the network is up", Duration::from_secs(15), || {
        (network_status(&host, &network).ok()? == "Created").then_some(())
    })
    .with_context(|| host.log())?;
    start(&host, "web").with_context(|| host.log())?;
    Instance { host: &host, name: "web".into() }.address()?;
    host.assert_nothing_leaked()
}

/// Hard links to this build's programs: one can be taken away without another story missing it.
fn programs_of_its_own() -> Result<tempfile::TempDir> {
    let own = std::env::current_exe()?;
    let built: PathBuf = match std::env::var_os("HULL_TEST_PROGRAMS") {
        Some(path) => path.into(),
        None => own.parent().and_then(|deps| deps.parent()).context("the test has no target directory")?.to_owned(),
    };
    let place = tempfile::Builder::new().prefix("programs-").tempdir_in(&built)?;
    fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs::create_dir(place.path().join("away"))?;
    let names = [
        "hulld",
        "hull",
        "hull-gateway",
        "hull-init",
        "storage-dir",
        "network-bridge",
        "instance-container",
        "image-file",
        "image-debian",
    ];
    for name in names {
        fs::hard_link(built.join(name), place.path().join(name)).with_context(|| format!("`{name}` is not built"))?;
    }
    Ok(place)
}

fn ready_within(host: &mut Host, meanwhile: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut started = Instant::now();
    host.restart_daemon_after(|| {
        meanwhile()?;
        started = Instant::now();
        Ok(())
    })?;
    assert!(started.elapsed() < READY, "ready only after {:?}", started.elapsed());
    Ok(())
}

fn on_pool(host: &Host, name: &str, pool: &str) -> Result<()> {
    let devices = json!({"root": {"type": "disk", "path": "/", "pool": pool}});
    let body = json!({"name": name, "source": {"type": "image", "alias": "busybox"}, "devices": devices});
    host.rest.wait(&host.rest.post("/1.0/instances", &body)?).map(drop)
}

fn start(host: &Host, name: &str) -> Result<()> {
    let body = json!({"action": "start", "timeout": 30});
    host.rest.wait(&host.rest.put(&format!("/1.0/instances/{name}/state"), &body)?).map(drop)
}

fn pool_status(host: &Host, name: &str) -> Result<String> {
    let pool = host.rest.get(&format!("/1.0/storage-pools/{name}"))?.metadata()?;
    Ok(pool["status"].as_str().unwrap_or_default().to_owned())
}

fn network_status(host: &Host, name: &str) -> Result<String> {
    let network = host.rest.get(&format!("/1.0/networks/{name}"))?.metadata()?;
    Ok(network["status"].as_str().unwrap_or_default().to_owned())
}

fn ip(arguments: &[&str]) -> Result<()> {
    hull_integration::run(std::process::Command::new("ip").args(arguments), "")?.ok().map(drop)
}
