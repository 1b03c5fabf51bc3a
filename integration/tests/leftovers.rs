//! Work on pools and images that fails half-way: what it left meets nothing newer, and no record stays of what is gone.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use hull_integration::{Answer, Host, Target, run, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

const POOL: &str = "/1.0/storage-pools/other";

#[test]
fn a_pool_in_which_an_instance_is_being_made_is_in_use() -> Result<()> {
    let Some(host) = with_pool()? else { return Ok(()) };
    let driver = driver(&host)?;
    kill(driver, Signal::SIGSTOP)?;
    let made = make(&host, "web")?;
    let unpacking = unpacking(&host);
    let refused = unpacking.and_then(|()| host.rest.delete(POOL)?.error());
    kill(driver, Signal::SIGCONT)?;
    assert_eq!(refused?, "The storage pool is currently in use");
    host.rest.wait(&made).with_context(|| host.log())?;
    host.rest.wait(&host.rest.delete("/1.0/instances/web")?)?;
    host.rest.delete(POOL)?.metadata()?; // nothing is left of the claim
    host.assert_nothing_leaked()
}

#[test]
fn what_a_failed_unpacking_left_does_not_take_the_next_ones_volume() -> Result<()> {
    let Some(mut host) = with_pool()? else { return Ok(()) };
    fail_to_unpack(&host)?;
    // The pool is back: the image is unpacked again, and still there after a restart.
    until("the image is unpacked again", Duration::from_secs(30), || {
        host.rest.wait(&make(&host, "second").ok()?).ok() // its driver is started again in a moment
    })
    .with_context(|| host.log())?;
    host.restart_daemon()?;
    host.rest.wait(&make(&host, "third")?).with_context(|| host.log())?;
    host.assert_whole()?;
    host.assert_nothing_leaked()
}

#[test]
fn an_undo_in_a_pool_that_is_gone_ends() -> Result<()> {
    let Some(host) = with_pool()? else { return Ok(()) };
    let place = host.directory().join("storage-pools/other");
    let driver = driver(&host)?;
    kill(driver, Signal::SIGSTOP)?;
    let made = make(&host, "web")?;
    let moved = unpacking(&host).and_then(|()| Ok(fs::rename(&place, host.folder().join("away"))?));
    kill(driver, Signal::SIGKILL)?;
    moved?;
    assert!(host.rest.wait(&made).is_err(), "its pool is away");
    host.rest.delete(POOL)?.metadata()?; // its place is gone, and nothing uses it
    // Until the undo has ended, the name is kept from everybody else.
    until("the name is free", Duration::from_secs(40), || host.stopped("web").ok()).with_context(|| host.log())?;
    fs::remove_dir_all(host.folder().join("away"))?;
    host.assert_nothing_leaked()
}

/// A whole volume that Hull does not know, as after going back to an older copy of its database.
#[test]
fn an_instance_whose_new_name_an_unknown_volume_has_keeps_its_old_one() -> Result<()> {
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked(); // takes the volume away
    }
    let web = host.stopped("web")?;
    let volumes = host.directory().join("storage-pools/default/volumes/container");
    let (owner, unknown) = (fs::metadata(&volumes)?, volumes.join("taken"));
    fs::create_dir(&unknown)?;
    std::os::unix::fs::chown(&unknown, Some(owner.uid()), Some(owner.gid()))?;
    let rename = |name: &str| host.rest.wait(&host.rest.post("/1.0/instances/web", &json!({"name": name}))?);
    let error = rename("taken").err().context("the name of its volume is taken")?.to_string();
    assert!(error.contains("volume `container/taken` exists"), "{error}");
    assert_eq!(web.status()?, "Stopped");
    assert!(unknown.exists());
    rename("other").with_context(|| host.log())?;
    host.rest.wait(&host.rest.delete("/1.0/instances/other")?)?;
    host.assert_nothing_leaked()
}

#[test]
fn a_pool_whose_directory_cannot_be_removed_is_deleted_all_the_same() -> Result<()> {
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked(); // mounts no such thing at a pool's own place
    }
    // A file system at the pool's own place: the directory cannot be removed, though the driver has emptied it.
    let place = host.directory().join("storage-pools/other");
    fs::create_dir_all(&place)?;
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=0700", "other"]).arg(&place), "")?.ok()?;
    let deleted = (|| {
        make_pool(&host)?;
        host.rest.wait(&make(&host, "web")?)?;
        host.rest.wait(&host.rest.delete("/1.0/instances/web")?)?;
        host.rest.delete(POOL)?.metadata()
    })();
    run(Command::new("umount").arg("--lazy").arg(&place), "")?.ok()?; // the driver's process may still be there
    deleted.with_context(|| host.log())?;
    assert_eq!(host.rest.get(POOL)?.status, 404);
    make_pool(&host)?;
    host.rest.wait(&make(&host, "web")?).with_context(|| host.log())?;
    host.assert_nothing_leaked()
}

#[test]
fn nothing_is_left_of_a_deleted_pools_process() -> Result<()> {
    let Some(host) = with_pool()? else { return Ok(()) };
    let processes = || -> Result<Vec<String>> {
        let plugin = host.rest.get("/1.0/plugins/storage-dir")?.metadata()?;
        let processes = plugin["processes"].as_array().context("processes")?;
        Ok(processes.iter().filter_map(|process| process["name"].as_str().map(str::to_owned)).collect())
    };
    driver(&host)?; // it runs
    assert!(processes()?.contains(&"storage-dir@other".to_owned()), "{:?}", processes()?);
    host.rest.delete(POOL)?.metadata()?;
    assert!(driver(&host).is_err(), "{:?}", processes()?);
    assert!(!processes()?.contains(&"storage-dir@other".to_owned()), "{:?}", processes()?);
    // The driver's other processes are replaced without it.
    host.rest.wait(&host.rest.post("/1.0/plugins/storage-dir/restart", &json!({}))?).with_context(|| host.log())?;
    // One of the same name gets another.
    make_pool(&host)?;
    host.rest.wait(&make(&host, "web")?).with_context(|| host.log())?;
    host.assert_nothing_leaked()
}

/// A host with a second pool; `None` on LXD, which has no drivers that one could stop.
fn with_pool() -> Result<Option<Host>> {
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        host.assert_nothing_leaked()?;
        return Ok(None);
    }
    make_pool(&host)?;
    Ok(Some(host))
}

fn make_pool(host: &Host) -> Result<()> {
    host.rest.post("/1.0/storage-pools", &json!({"name": "other", "driver": "dir", "config": {}}))?.metadata().map(drop)
}

/// Begins to make an instance in the second pool.
fn make(host: &Host, name: &str) -> Result<Answer> {
    let devices = json!({"root": {"type": "disk", "path": "/", "pool": "other"}});
    let body = json!({"name": name, "source": {"type": "image", "alias": "busybox"}, "devices": devices});
    host.rest.post("/1.0/instances", &body)
}

/// The pool goes away in the middle of unpacking, so that neither this nor its undo succeeds; then it comes back.
fn fail_to_unpack(host: &Host) -> Result<()> {
    let (place, away) = (host.directory().join("storage-pools/other"), host.folder().join("away"));
    let driver = driver(host)?;
    kill(driver, Signal::SIGSTOP)?;
    let made = make(host, "first")?;
    let moved = unpacking(host).and_then(|()| Ok(fs::rename(&place, &away)?));
    kill(driver, Signal::SIGKILL)?;
    moved?;
    let error = host.rest.wait(&made).err().context("its pool went away")?.to_string();
    assert!(error.contains("cannot undo"), "{error}");
    Ok(fs::rename(&away, &place)?)
}

/// Waits until the second pool's driver has been told to unpack.
fn unpacking(host: &Host) -> Result<()> {
    until("the pool's driver is asked for a volume", Duration::from_secs(5), || {
        let metrics = String::from_utf8(host.rest.get("/1.0/metrics").ok()?.body).ok()?;
        let asked = |line: &&str| {
            ["hull_plugin_in_flight{", r#"method="create_volume""#, r#"plugin="storage-dir@other""#]
                .iter()
                .all(|part| line.contains(part))
        };
        metrics.lines().find(asked).is_some_and(|line| line.ends_with(" 1")).then_some(())
    })
}

fn driver(host: &Host) -> Result<Pid> {
    let serves =
        |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"storage-dir@other\0"));
    let found = host.processes_named("storage-dir").into_iter().find(serves);
    found.map(Pid::from_raw).context("the pool's driver runs")
}
