//! Disks that are full or fail: what is asked for is refused and says why, nothing half-made stays, the rest works on, and with
//! room again the same is done. First the disk with all of HULL_DIR, then a pool and the images on file systems of their own, so
//! that it is known which layer has failed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use hull_integration::{Answer, Disk, Host, Instance, Settings, Target, fingerprint, run, until};
use serde_json::{Value, json};

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

/// The disk is in a file whose own file system is full: what the daemon writes comes back as an input/output error.
#[test]
fn a_failing_disk_is_told_and_loses_nothing_that_was_acknowledged() -> Result<()> {
    if Target::of_environment() == Target::Lxd {
        return Ok(());
    }
    let place = tempfile::Builder::new().prefix("hull-test-disk-").tempdir()?;
    let medium = Medium::new(&place.path().join("medium"), 96 << 20)?;
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

#[test]
fn a_full_pool_refuses_an_instance_keeps_no_part_of_it_and_heals() -> Result<()> {
    if Target::of_environment() == Target::Lxd {
        return Ok(());
    }
    let place = place()?;
    let unpacked = std::fs::metadata("/bin/busybox")?.len(); // nearly all of the image
    let medium = Medium::new(&place.path().join("pool"), unpacked / 2)?;
    let host = Host::ready()?;
    make_pool(&host, "small", &medium.0)?;

    // First the image does not fit, then the instance's copy of it.
    for (size, volume) in [(unpacked / 2, "volume `image/"), (unpacked * 3 / 2, "`container/far`")] {
        medium.resize(size)?;
        let refused = make_on(&host, "far", "small").expect_err("made without room").to_string();
        assert!(refused.contains(volume) && refused.contains("No space left"), "{refused}");
        assert_eq!(host.rest.get("/1.0/instances/far")?.status, 404);
        assert!(!medium.0.join("volumes/container/far").exists());
        host.assert_whole().with_context(|| host.log())?;
        let near = host.running("near")?;
        assert_eq!(near.exec(&["echo", "alive"])?.ok()?, "alive\n");
        near.change("stop", true)?;
        near.delete()?;
    }

    medium.resize(64 << 20)?;
    make_on(&host, "far", "small").with_context(|| host.log())?;
    let far = Instance { host: &host, name: "far".into() };
    match far.start() {
        // tmpfs can be mounted with other owners since Linux 6.3.
        Err(error) if error.to_string().contains("must support id-mapped mounts") => {}
        started => {
            started?;
            assert_eq!(far.exec(&["hostname"])?.ok()?, "far\n");
        }
    }
    host.assert_whole().with_context(|| host.log())?;
    host.assert_nothing_leaked()
}

/// As in the story of the failing disk, but only a pool is on it.
#[test]
fn a_failing_pool_is_told_and_is_nobody_elses_trouble() -> Result<()> {
    if Target::of_environment() == Target::Lxd {
        return Ok(());
    }
    let place = place()?;
    let medium = Medium::new(&place.path().join("medium"), 96 << 20)?;
    let (file, at) = (medium.0.join("disk"), place.path().join("pool"));
    let mut disk = Some(Disk::new(&file, &at, 256)?);
    let mut host = Host::ready()?;
    make_pool(&host, "failing", &at)?;
    host.running("near")?;
    let filling = medium.0.join("filling");
    fill(&filling)?;

    // The second time too: the kernel tells of a failed write only once.
    for time in ["first", "second"] {
        let refused = make_on(&host, "far", "failing").expect_err("made on a disk that fails").to_string();
        eprintln!("the {time} time: {refused}");
        if time == "first" {
            let told = ["Input/output error", "Read-only file system"].iter().any(|words| refused.contains(words));
            assert!(told && (refused.contains("volume") || refused.contains("pool")), "{refused}");
        }
        assert_eq!(host.rest.get("/1.0/instances/far")?.status, 404);
        assert_eq!(host.rest.get("/1.0/storage-pools/failing/volumes/image")?.metadata()?, json!([]));
    }
    host.stopped("meanwhile")?;
    assert_eq!(host.rest.get("/1.0/instances?recursion=2")?.status, 200);
    assert_eq!(Instance { host: &host, name: "near".into() }.exec(&["echo", "alive"])?.ok()?, "alive\n");

    host.restart_host_after(|_| {
        std::fs::remove_file(&filling)?;
        drop(disk.take()); // unmounted
        disk = Some(Disk::mounted(&file, &at)?);
        Ok(())
    })
    .with_context(|| host.log())?;
    until("what ran runs again", Duration::from_secs(20), || {
        (Instance { host: &host, name: "near".into() }.status().ok()? == "Running").then_some(())
    })
    .with_context(|| host.log())?;
    assert_eq!(host.rest.get("/1.0/instances/far")?.status, 404);
    make_on(&host, "far", "failing").with_context(|| host.log())?;
    Instance { host: &host, name: "far".into() }.start()?;
    host.assert_whole().with_context(|| host.log())?;
    host.assert_nothing_leaked()?;
    drop(disk);
    Ok(())
}

#[test]
fn full_images_refuse_an_upload_keep_no_part_of_it_and_heal() -> Result<()> {
    if Target::of_environment() == Target::Lxd {
        return Ok(());
    }
    let mut medium = None;
    let host = Host::placed(|_, directory| {
        medium = Some(Medium::new(&directory.join("images"), 4 << 20)?);
        Ok(Settings::default())
    })?;
    let mut host = host.furnished()?;
    let (large, small) = (host.image("large", &noise(8 << 20)?)?, host.image("small", &noise(1 << 20)?)?);

    let before = images(&host)?;
    let refused = upload(&host, &large)?;
    assert_eq!(refused.status, 507, "{}", String::from_utf8_lossy(&refused.body));
    let told = refused.error()?;
    assert!(told.contains("image") && told.contains("No space left"), "{told}");
    assert_eq!(images(&host)?, before);
    host.assert_whole().with_context(|| host.log())?;
    host.running("web").with_context(|| "an image that was there cannot be used")?;

    // What there was of it filled the disk, and has given its room back.
    let taken = until("there is room for a small one", Duration::from_secs(10), || {
        upload(&host, &small).ok().filter(|answer| answer.status < 400)
    })?;
    host.rest.wait(&taken).with_context(|| host.log())?;
    medium.as_ref().context("the images have a disk")?.resize(64 << 20)?;
    host.rest.wait(&upload(&host, &large)?).with_context(|| host.log())?;
    for image in [&small, &large] {
        let fingerprint = fingerprint(image);
        let exported = host.rest.get(&format!("/1.0/images/{fingerprint}/export"))?;
        assert!(exported.status == 200 && exported.body == *image, "{fingerprint}: {}", exported.status);
    }
    host.assert_whole().with_context(|| host.log())?;
    host.leave()?;
    drop(medium);
    Ok(())
}

/// For mounts, outside of what is looked through for leaks. The driver of a pool must get through.
fn place() -> Result<tempfile::TempDir> {
    let place = tempfile::Builder::new().prefix("hull-test-disk-").tempdir()?;
    std::fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(place)
}

fn make_pool(host: &Host, name: &str, source: &Path) -> Result<()> {
    let pool = json!({"name": name, "driver": "dir", "config": {"source": source}});
    host.rest.post("/1.0/storage-pools", &pool)?.metadata().map(drop)
}

fn make_on(host: &Host, name: &str, pool: &str) -> Result<()> {
    let devices = json!({"root": {"type": "disk", "path": "/", "pool": pool}});
    let body = json!({"name": name, "source": {"type": "image", "alias": "busybox"}, "devices": devices});
    host.rest.wait(&host.rest.post("/1.0/instances", &body)?).map(drop)
}

fn upload(host: &Host, image: &[u8]) -> Result<Answer> {
    host.rest.request("POST", "/1.0/images", &[("Content-Type", "application/octet-stream")], image)
}

/// The images that are known, and the files in their directory.
fn images(host: &Host) -> Result<(Value, BTreeSet<PathBuf>)> {
    let files = std::fs::read_dir(host.directory().join("images"))?;
    let files = files.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<_>>()?;
    Ok((host.rest.get("/1.0/images")?.metadata()?, files))
}

/// Nothing that could be packed.
fn noise(length: usize) -> Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = vec![0; length];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
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

/// A small file system in memory; dropped, it is unmounted.
struct Medium(PathBuf);

impl Medium {
    fn new(at: &Path, bytes: u64) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        let options = format!("size={bytes},mode=0700");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "hull-test"]).arg(at), "")?.ok()?;
        Ok(Self(at.to_owned()))
    }

    fn resize(&self, bytes: u64) -> Result<()> {
        let options = format!("remount,size={bytes}");
        run(Command::new("mount").args(["-o", &options]).arg(&self.0), "")?.ok().map(drop)
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        for _ in 0..50 {
            match run(Command::new("umount").arg(&self.0), "") {
                Ok(done) if done.status == 0 => return,
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
        eprintln!("cannot unmount {:?}", self.0);
    }
}
