//! The power fails while work goes on: what was acknowledged is there when it is back, and works; nothing is half-made.
//!
//! HULL_DIR is on a disk of its own whose kernel writes nothing back unasked, so that all which is not flushed is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use hull_integration::{Answer, Disk, Host, Instance, Rest, Settings, Target, fingerprint, until};
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
    let mut host = host.furnished()?.networked()?;
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

/// Makes instances, volumes, images and networks, and deletes every third of each.
fn work(host: &Host, told: &Mutex<Told>, end: &AtomicBool) -> Result<()> {
    const VOLUMES: &str = "/1.0/storage-pools/default/volumes/custom";
    let client = Client { host, told };
    let network = host.network().context("the host has a network")?;
    for number in 0.. {
        if end.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (instance, volume, bridge) = (format!("i{number}"), format!("v{number}"), format!("{network}n{number}"));
        let image = host.image(&format!("image{number}"), format!("{number}\n").as_bytes())?;
        let urls = [
            format!("/1.0/instances/{instance}"),
            format!("{VOLUMES}/{volume}"),
            format!("/1.0/images/{}", fingerprint(&image)),
            format!("/1.0/networks/{bridge}"),
        ];
        let body = json!({"name": instance, "source": {"type": "image", "alias": "busybox"}});
        client.make(&urls[0], |rest| rest.post("/1.0/instances", &body))?;
        client.make(&urls[1], |rest| rest.post(VOLUMES, &json!({"name": volume, "config": {}})))?;
        let binary = [("Content-Type", "application/octet-stream")];
        client.make(&urls[2], |rest| rest.request("POST", "/1.0/images", &binary, &image))?;
        let config = json!({"ipv4.address": "none", "ipv6.address": "none"});
        let body = json!({"name": bridge, "type": "bridge", "config": config});
        client.make(&urls[3], |rest| rest.post("/1.0/networks", &body))?;
        if number % 3 == 2 {
            urls.iter().try_for_each(|url| client.delete(url))?;
        }
    }
    Ok(())
}

/// Writes down what it asks for before it asks, and what it is told when it is told.
struct Client<'a> {
    host: &'a Host,
    told: &'a Mutex<Told>,
}

impl Client<'_> {
    /// `request` makes what will be at `url`.
    fn make(&self, url: &str, request: impl FnOnce(&Rest) -> Result<Answer>) -> Result<()> {
        self.note(|told| _ = told.open.insert(url.to_owned()));
        self.host.rest.done(&request(&self.host.rest)?).with_context(|| format!("making {url}"))?;
        self.note(|told| {
            told.open.remove(url);
            told.made.insert(url.to_owned());
        });
        Ok(())
    }

    fn delete(&self, url: &str) -> Result<()> {
        self.note(|told| {
            told.made.remove(url);
            told.open.insert(url.to_owned());
        });
        self.host.rest.done(&self.host.rest.delete(url)?).with_context(|| format!("deleting {url}"))?;
        self.note(|told| {
            told.open.remove(url);
            told.deleted.insert(url.to_owned());
        });
        Ok(())
    }

    fn note(&self, change: impl FnOnce(&mut Told)) {
        if let Ok(mut told) = self.told.lock() {
            change(&mut told);
        }
    }
}

fn whole(host: &Host, told: &Told, tree: &BTreeMap<String, u64>) -> Result<()> {
    for url in &told.made {
        anyhow::ensure!(host.rest.get(url)?.status == 200, "{url} was acknowledged and is lost");
    }
    for url in &told.deleted {
        anyhow::ensure!(host.rest.get(url)?.status == 404, "{url} was deleted and is there again");
    }
    host.assert_whole()?; // what was cut is taken up
    images_whole(host, told)?;
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

/// What an image exports is what its fingerprint says.
fn images_whole(host: &Host, told: &Told) -> Result<()> {
    let images = host.rest.get("/1.0/images")?.metadata()?;
    for url in images.as_array().into_iter().flatten().filter_map(|url| url.as_str()) {
        // Its deletion may be taken up just now.
        until(&format!("{url} is whole, or gone if it may be"), Duration::from_secs(20), || {
            let exported = host.rest.get(&format!("{url}/export")).ok()?;
            let whole = exported.status == 200 && url.ends_with(&fingerprint(&exported.body));
            let gone = exported.status == 404 && told.open.contains(url);
            (whole || gone).then_some(())
        })?;
    }
    Ok(())
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
