//! The power fails while work goes on: what was acknowledged is there when it is back, and works; nothing is half-made.
//!
//! HULL_DIR is on a disk of its own whose kernel writes nothing back unasked, so that all which is not flushed is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use hull_integration::{Disk, Host, Instance, Settings, Target, until};
use serde_json::json;

/// What the client was told, to be compared with what is there after the cut.
#[derive(Clone, Default, Debug)]
struct Told {
    made: BTreeSet<String>,
    deleted: BTreeSet<String>,
    /// Asked for, and not answered yet: may be either.
    open: BTreeSet<String>,
}

#[test]
fn nothing_acknowledged_is_lost_in_a_power_cut() -> Result<()> {
    if Target::of_environment() == Target::Lxd {
        return Ok(()); // does not promise it
    }
    let place = tempfile::Builder::new().prefix("hull-test-disk-").tempdir()?;
    let file = place.path().join("disk");
    let mut disk = None;
    let host = Host::placed(|_, directory| {
        disk = Some(Disk::new(&file, directory, 512)?);
        Ok(Settings::default())
    })?;
    let mut host = host.furnished()?;
    let tree = tree(&host, "first")?;

    let cuts = take_cuts(&host, disk.as_ref().context("a disk")?, place.path(), 4)?;
    for (cut, told) in cuts {
        host.restart_host_after(|host| {
            drop(disk.take()); // unmounted
            disk = Some(Disk::mounted(&cut, &host.directory())?);
            Ok(())
        })
        .with_context(|| format!("{told:?}"))?;
        whole(&host, &told, &tree).with_context(|| format!("{told:?}\n{}", host.log()))?;
    }
    host.leave()?;
    drop(disk);
    Ok(())
}

/// Works in one thread and cuts the power in another, at moments of its own.
fn take_cuts(host: &Host, disk: &Disk, place: &Path, count: usize) -> Result<Vec<(std::path::PathBuf, Told)>> {
    let (told, end) = (Mutex::new(Told::default()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let working = scope.spawn(|| work(host, &told, &end));
        let mut cuts = Vec::new();
        for number in 0..count {
            std::thread::sleep(Duration::from_millis(rand::random_range(50..700)));
            let copy = place.join(format!("cut{number}"));
            let known = host.halted(|| {
                // Nobody can answer any more: what is told now was told before the cut.
                let known = told.lock().map_err(|_| anyhow::anyhow!("the client panicked"))?.clone();
                disk.cut(&copy)?;
                Ok(known)
            });
            cuts.push((copy, known?));
        }
        end.store(true, Ordering::Relaxed);
        working.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
        Ok(cuts)
    })
}

/// Makes instances and volumes, and deletes every third.
fn work(host: &Host, told: &Mutex<Told>, end: &AtomicBool) -> Result<()> {
    let note = |change: &dyn Fn(&mut Told)| {
        if let Ok(mut told) = told.lock() {
            change(&mut told);
        }
    };
    for number in 0.. {
        if end.load(Ordering::Relaxed) {
            return Ok(());
        }
        let name = format!("i{number}");
        let url = format!("/1.0/instances/{name}");
        note(&|told| _ = told.open.insert(url.clone()));
        host.rest.wait(
            &host
                .rest
                .post("/1.0/instances", &json!({"name": name, "source": {"type": "image", "alias": "busybox"}}))?,
        )?;
        note(&|told| {
            told.open.remove(&url);
            told.made.insert(url.clone());
        });
        if number % 3 == 2 {
            note(&|told| {
                told.made.remove(&url);
                told.open.insert(url.clone());
            });
            host.rest.wait(&host.rest.delete(&url)?)?;
            note(&|told| {
                told.open.remove(&url);
                told.deleted.insert(url.clone());
            });
        }
        let volume = format!("/1.0/storage-pools/default/volumes/custom/v{number}");
        note(&|told| _ = told.open.insert(volume.clone()));
        host.rest
            .post("/1.0/storage-pools/default/volumes/custom", &json!({"name": format!("v{number}"), "config": {}}))?
            .metadata()?;
        note(&|told| {
            told.open.remove(&volume);
            told.made.insert(volume.clone());
        });
    }
    Ok(())
}

fn whole(host: &Host, told: &Told, tree: &BTreeMap<String, u64>) -> Result<()> {
    for url in &told.made {
        anyhow::ensure!(host.rest.get(url)?.status == 200, "{url} was acknowledged and is lost");
    }
    for url in &told.deleted {
        anyhow::ensure!(host.rest.get(url)?.status == 404, "{url} was deleted and is there again");
    }
    host.assert_whole()?; // what was cut is taken up
    let instances = host.rest.get("/1.0/instances")?.metadata()?;
    let names = instances.as_array().into_iter().flatten().filter_map(|url| url.as_str()?.rsplit('/').next());
    let mut started = 0;
    for name in names.filter(|name| *name != "first") {
        let url = format!("/1.0/instances/{name}");
        if told.open.contains(&url) {
            // Its deletion may be taken up just now.
            until(&format!("`{name}` is whole or gone"), Duration::from_secs(20), || {
                let gone = host.rest.get(&url).ok()?.status == 404;
                (gone || self::tree_of(host, name) == *tree).then_some(())
            })?;
            continue;
        }
        anyhow::ensure!(self::tree_of(host, name) == *tree, "`{name}` does not hold what its image holds");
        if started < 2 {
            let instance = Instance { host, name: name.to_owned() };
            instance.start()?;
            anyhow::ensure!(instance.exec(&["hostname"])?.ok()? == format!("{name}\n"));
            started += 1;
        }
    }
    host.stopped("after")?.delete()?;
    host.assert_whole()
}

/// The sizes of all files of a fresh instance: none is empty that should not be.
fn tree(host: &Host, name: &str) -> Result<BTreeMap<String, u64>> {
    host.stopped(name)?;
    let tree = tree_of(host, name);
    anyhow::ensure!(tree.contains_key("bin/busybox") && tree["etc/rcS"] > 0, "{tree:?}");
    Ok(tree)
}

fn tree_of(host: &Host, name: &str) -> BTreeMap<String, u64> {
    let root = host.directory().join("storage-pools/default/volumes/container").join(name).join("rootfs");
    let (mut found, mut open) = (BTreeMap::new(), vec![root.clone()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(status) = entry.path().symlink_metadata() else { continue };
            let path = entry.path();
            let relative = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
            match status.is_dir() {
                true => open.push(path),
                false => drop(found.insert(relative, status.len())),
            }
        }
    }
    found
}

#[test]
fn a_full_disk_refuses_changes_answers_questions_and_heals() -> Result<()> {
    if Target::of_environment() == Target::Lxd {
        return Ok(());
    }
    let place = tempfile::Builder::new().prefix("hull-test-disk-").tempdir()?;
    let mut disk = None;
    let host = Host::placed(|_, directory| {
        disk = Some(Disk::new(&place.path().join("disk"), directory, 128)?);
        Ok(Settings::default())
    })?;
    let mut host = host.furnished()?;
    host.running("web")?;
    let filling = host.directory().join("filling");
    fill(&filling)?;

    // Enough changes to fill what room the database's log still has.
    let refused = until("a change is refused", Duration::from_secs(60), || {
        let change = json!({"config": {"user.note": "x".repeat(20_000)}});
        host.rest.patch("/1.0/instances/web", &change).ok().filter(|answer| answer.status >= 400)
    })?;
    assert_eq!(refused.status, 507, "{}", refused.error()?);
    assert!(refused.error()?.contains("database"), "{}", refused.error()?);
    let made =
        host.rest.post("/1.0/instances", &json!({"name": "new", "source": {"type": "image", "alias": "busybox"}}))?;
    assert!(host.rest.wait(&made).is_err(), "made on a full disk");
    let volume = host.rest.post("/1.0/storage-pools/default/volumes/custom", &json!({"name": "v", "config": {}}))?;
    assert!(volume.status >= 400, "made on a full disk");
    let web = Instance { host: &host, name: "web".into() };
    assert_eq!(host.rest.get("/1.0/instances?recursion=2")?.status, 200);
    assert_eq!(web.exec(&["echo", "alive"])?.ok()?, "alive\n");

    // Even a new daemon is ready, and knows everything.
    host.restart_daemon().with_context(|| host.log())?;
    assert_eq!(Instance { host: &host, name: "web".into() }.status()?, "Running");
    assert_eq!(host.rest.get("/1.0/instances/new")?.status, 404);

    std::fs::remove_file(&filling)?;
    until("changes are taken again", Duration::from_secs(20), || {
        let change = json!({"config": {"user.note": "y"}});
        host.rest.patch("/1.0/instances/web", &change).ok().filter(|answer| answer.status == 200)
    })
    .with_context(|| host.log())?;
    host.stopped("new")?;
    host.assert_whole().with_context(|| host.log())?;
    host.leave()?;
    drop(disk);
    Ok(())
}

/// To the last block: in pieces that become smaller.
fn fill(file: &Path) -> Result<()> {
    use std::io::Write;
    let mut file = std::fs::File::create(file)?;
    for size in [1 << 20, 1 << 14, 1 << 10] {
        let piece = vec![1; size];
        while file.write_all(&piece).and_then(|()| file.sync_data()).is_ok() {}
    }
    Ok(())
}

/// The disk is in a file whose own file system is full: what the daemon writes comes back as an input/output error.
#[test]
fn a_failing_disk_is_told_and_loses_nothing_that_was_acknowledged() -> Result<()> {
    if Target::of_environment() == Target::Lxd {
        return Ok(());
    }
    let place = tempfile::Builder::new().prefix("hull-test-disk-").tempdir()?;
    let medium = Medium::new(&place.path().join("medium"))?;
    let file = medium.0.join("disk");
    let mut disk = None;
    let host = Host::placed(|_, directory| {
        disk = Some(Disk::new(&file, directory, 256)?);
        Ok(Settings::default())
    })?;
    let mut host = host.furnished()?;
    host.running("web")?;
    let filling = medium.0.join("filling");
    fill(&filling)?;

    let mut acknowledged = Vec::new();
    let refused = until("the disk's error is told", Duration::from_secs(60), || {
        let name = format!("v{}", acknowledged.len());
        let config = json!({"user.note": "x".repeat(20_000)});
        let made = host
            .rest
            .post("/1.0/storage-pools/default/volumes/custom", &json!({"name": name, "config": config}))
            .ok()?;
        if made.status < 400 {
            acknowledged.push(name);
            return None;
        }
        made.error().ok()
    })?;
    eprintln!("after {} volumes: {refused}", acknowledged.len());
    let made =
        host.rest.post("/1.0/instances", &json!({"name": "new", "source": {"type": "image", "alias": "busybox"}}))?;
    assert!(host.rest.wait(&made).is_err(), "made on a disk that fails");
    assert_eq!(host.rest.get("/1.0/instances?recursion=2")?.status, 200);
    assert_eq!(Instance { host: &host, name: "web".into() }.exec(&["echo", "alive"])?.ok()?, "alive\n");

    host.restart_host_after(|host| {
        std::fs::remove_file(&filling)?;
        drop(disk.take());
        disk = Some(Disk::mounted(&file, &host.directory())?);
        Ok(())
    })
    .with_context(|| host.log())?;
    for name in &acknowledged {
        let url = format!("/1.0/storage-pools/default/volumes/custom/{name}");
        assert_eq!(host.rest.get(&url)?.status, 200, "`{name}` was acknowledged and is lost\n{}", host.log());
    }
    until("what ran runs again", Duration::from_secs(20), || {
        (Instance { host: &host, name: "web".into() }.status().ok()? == "Running").then_some(())
    })
    .with_context(|| host.log())?;
    host.assert_whole().with_context(|| host.log())?;
    host.stopped("new")?;
    host.leave()?;
    drop(disk);
    Ok(())
}

/// A small file system in memory; dropped, it is unmounted.
struct Medium(std::path::PathBuf);

impl Medium {
    fn new(at: &Path) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=96m", "hull-test"]).arg(at);
        hull_integration::run(&mut mount, "")?.ok()?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        for _ in 0..50 {
            match hull_integration::run(std::process::Command::new("umount").arg(&self.0), "") {
                Ok(done) if done.status == 0 => return,
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
        eprintln!("cannot unmount {:?}", self.0);
    }
}
