//! Images that are made to lead somewhere else (families T1, T3, T6).

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Context, Result};
use hull_integration::{Host, Instance};

use crate::support::{Canary, SECRET, assert_same_supervisor, fetched, image, import, launch, only_hull, shell};

#[test]
fn sec_cve_2026_48749_rootfs_symlink_in_image() -> Result<()> {
    let host = Host::ready()?;
    let canary = Canary::new(&host)?;
    let tarball = image(&host, "rootfs-link", |tree| {
        fs::rename(tree.join("rootfs"), tree.join("real"))?;
        Ok(symlink(&canary.folder, tree.join("rootfs"))?)
    })?;
    let _either_way = import(&host, &tarball, "bad")?;
    let _refused = launch(&host, "victim", "bad");
    assert!(!fetched(&host, "victim", "/file")?.contains(SECRET));
    canary.assert_untouched()?;
    host.assert_nothing_leaked()
}

/// CVE-2026-48752, CVE-2026-48750, CVE-2026-33711, CVE-2026-63125: at every path that a daemon of this kind opens later.
#[test]
fn sec_cve_2026_48752_links_where_the_daemon_opens_later() -> Result<()> {
    let host = Host::ready()?;
    let (canary, supervisor) = (Canary::new(&host)?, host.supervisor());
    for name in ["templates", "exec-output", "console.log", "backup.yaml", "snapshots", "credentials", "config"] {
        let label = name.replace('.', "-");
        let tarball = image(&host, &label, |tree| {
            symlink(&canary.folder, tree.join(name))?;
            Ok(symlink(&canary.folder, tree.join("rootfs").join(name))?)
        })?;
        if import(&host, &tarball, &label)?.status == 0 && launch(&host, &format!("v-{label}"), &label).is_ok() {
            let instance = format!("v-{label}");
            host.client(&["exec", &instance, "--", "true"])?.ok()?;
            let log = host.rest.get(&format!("/1.0/instances/{instance}/console"))?;
            assert!(!String::from_utf8_lossy(&log.body).contains(SECRET), "{name}");
            let through = fetched(&host, &instance, &format!("/{name}/file"))?;
            assert!(!through.contains(SECRET), "{name}: {through}");
        }
        canary.assert_untouched()?;
    }
    if only_hull(&host) {
        assert_same_supervisor(&host, supervisor)?;
    }
    host.assert_nothing_leaked()
}

#[test]
fn sec_cve_2026_63343_metadata_is_a_link() -> Result<()> {
    let host = Host::ready()?;
    let canary = Canary::new(&host)?;
    for (label, target) in [("absolute", canary.folder.join("metadata.yaml")), ("shadow", "/etc/shadow".into())] {
        let tarball = image(&host, label, |tree| {
            fs::remove_file(tree.join("metadata.yaml"))?;
            Ok(symlink(target, tree.join("metadata.yaml"))?)
        })?;
        let refused = import(&host, &tarball, label)?;
        assert_ne!(refused.status, 0, "{label}: {refused:?}");
        assert!(!refused.stderr.contains(SECRET) && !refused.stderr.contains("root:"), "{refused:?}");
    }
    canary.assert_untouched()?;
    host.assert_nothing_leaked()
}

/// CVE-2026-33897: what a template includes is of no file of the host's, and what it writes goes to none.
#[test]
fn sec_cve_2026_23954_templates_that_point_outside() -> Result<()> {
    let host = Host::ready()?;
    let canary = Canary::new(&host)?;
    let tarball = image(&host, "templates", |tree| {
        let metadata = fs::read_to_string(tree.join("metadata.yaml"))?;
        let outside = canary.folder.join("file");
        let up = "../".repeat(30);
        let templates = format!(
            "templates:\n  {up}{}:\n    when: [create, start, copy]\n    template: x.tpl\n  /etc/read:\n    when: [create, start]\n    template: {up}{}\n",
            outside.strip_prefix("/")?.display(),
            outside.strip_prefix("/")?.display(),
        );
        fs::write(tree.join("metadata.yaml"), format!("{metadata}{templates}"))?;
        fs::create_dir_all(tree.join("templates"))?;
        fs::write(tree.join("templates/x.tpl"), "{% include \"/etc/shadow\" %}overwritten")?;
        Ok(())
    })?;
    if import(&host, &tarball, "templates")?.status == 0 && launch(&host, "victim", "templates").is_ok() {
        assert!(!fetched(&host, "victim", "/etc/read")?.contains(SECRET));
    }
    canary.assert_untouched()?;
    host.assert_nothing_leaked()
}

/// CVE-2026-40226: what comes with an image is no configuration, however it is called.
#[test]
fn sec_cve_2026_40226_an_image_that_brings_its_configuration() -> Result<()> {
    let host = Host::ready()?;
    let canary = Canary::new(&host)?;
    let device = format!("devices:\n  out:\n    type: disk\n    source: {}\n    path: /mnt\n", canary.folder.display());
    let config = format!("config:\n  security.privileged: \"true\"\n  security.nesting: \"true\"\n{device}");
    let nspawn = format!("[Exec]\nPrivateUsers=no\nCapability=all\n[Files]\nBind={}:/mnt\n", canary.folder.display());
    let tarball = image(&host, "configured", |tree| {
        let metadata = fs::read_to_string(tree.join("metadata.yaml"))?;
        fs::write(tree.join("metadata.yaml"), format!("{metadata}  security.privileged: \"true\"\n{config}"))?;
        fs::write(tree.join("backup.yaml"), format!("container:\n  {}\n", config.trim_end().replace('\n', "\n  ")))?;
        for place in ["rootfs.nspawn", "rootfs/etc/systemd/nspawn/v.nspawn", "rootfs/run/host/v.nspawn"] {
            let file = tree.join(place);
            fs::create_dir_all(file.parent().context("a parent")?)?;
            fs::write(file, &nspawn)?;
        }
        Ok(())
    })?;
    if import(&host, &tarball, "configured")?.status == 0 && launch(&host, "victim", "configured").is_ok() {
        let made = host.rest.get("/1.0/instances/victim")?.metadata()?;
        for key in ["security.privileged", "security.nesting"] {
            assert!(made["expanded_config"][key].is_null(), "{key}: {made}");
        }
        assert!(made["expanded_devices"]["out"].is_null(), "{made}");
        assert!(!fetched(&host, "victim", "/mnt/file")?.contains(SECRET));
        let pid = Instance { host: &host, name: "victim".into() }.pid()?;
        let maps = fs::read_to_string(format!("/proc/{pid}/uid_map"))?;
        assert!(maps.lines().all(|line| line.split_whitespace().nth(1) != Some("0")), "{maps}");
    }
    canary.assert_untouched()?;
    host.assert_nothing_leaked()
}

/// Members whose names or targets climb, and kinds of files that nobody expects: nothing appears outside.
#[test]
fn sec_cve_2018_15664_members_that_climb_out() -> Result<()> {
    let host = Host::ready()?;
    let (canary, supervisor) = (Canary::new(&host)?, host.supervisor());
    let plain = image(&host, "plain", |_| Ok(()))?;
    let file = canary.file();
    let up = "../".repeat(30);
    let target = file.strip_prefix("/")?.display().to_string();
    // `--transform` makes of the name `x` what tar itself would not put into an archive.
    let names = [
        format!("{up}{target}"),
        format!("rootfs/{up}{target}"),
        file.display().to_string(),
        format!("rootfs/{}", "n/".repeat(2000)),
        format!("rootfs/{}", "l".repeat(300)),
    ];
    for (number, name) in names.iter().enumerate() {
        let label = format!("climb{number}");
        let tarball = host.folder().join(format!("{label}.tar.gz"));
        let work = host.folder().join(&label);
        fs::create_dir(&work)?;
        fs::write(work.join("x"), "overwritten")?;
        shell(&format!(
            "cd '{}'; gzip -dc '{}' > a.tar; tar -P --transform 's|^x$|{name}|' -rf a.tar x; gzip -c a.tar > '{}'",
            work.display(),
            plain.display(),
            tarball.display()
        ))?;
        if import(&host, &tarball, &label)?.status == 0 {
            let _either_way = launch(&host, &label, &label);
        }
        canary.assert_untouched()?;
    }
    for (label, make) in [
        ("device", "mknod rootfs/etc/inittab b 254 0"),
        ("pipe", "mkfifo rootfs/etc/inittab"),
        ("device-metadata", "rm metadata.yaml; mknod metadata.yaml c 1 3"),
        ("pipe-metadata", "rm metadata.yaml; mkfifo metadata.yaml"),
        ("self-link", "rm -r rootfs/etc; ln -s etc rootfs/etc"),
    ] {
        let tarball = image(&host, label, |tree| {
            shell(&format!("cd '{}'; rm -f rootfs/etc/inittab; {make}", tree.display())).map(drop)
        })?;
        if import(&host, &tarball, label)?.status == 0 {
            let _either_way = launch(&host, label, label);
        }
        canary.assert_untouched()?;
    }
    if only_hull(&host) {
        assert_same_supervisor(&host, supervisor)?;
    }
    host.assert_nothing_leaked()
}

/// CVE-2019-16884, CVE-2019-19921, CVE-2025-31133, CVE-2025-52565, CVE-2025-52881: the places that are mounted over, or masked
/// with something from `/dev`, lead out of the root file system.
#[test]
fn sec_cve_2025_31133_masks_and_mount_points_are_links() -> Result<()> {
    let host = Host::ready()?;
    let canary = Canary::new(&host)?;
    let outside = canary.folder.clone();
    for (label, path, target) in [
        ("proc", "rootfs/proc", outside.join("proc")),
        ("proc-inside", "rootfs/proc", "/tmp".into()),
        ("sys", "rootfs/sys", outside.clone()),
        ("dev", "rootfs/dev", outside.join("dev")),
        ("dev-null", "rootfs/dev/null", outside.join("null")),
        ("dev-console", "rootfs/dev/console", outside.join("console")),
        ("init", "rootfs/sbin/init", outside.join("sbin/init")),
    ] {
        let tarball = image(&host, label, |tree| {
            let place = tree.join(path);
            if place.is_dir() {
                fs::remove_dir_all(&place)?;
            } else if place.symlink_metadata().is_ok() {
                fs::remove_file(&place)?;
            }
            Ok(symlink(target, place)?)
        })?;
        if import(&host, &tarball, label)?.status == 0 && launch(&host, label, label).is_ok() {
            // It runs: then with the kernel's own files, masked as ever.
            let own = host.client(&["exec", label, "--", "cat", "/proc/self/status"])?;
            if only_hull(&host) && own.status == 0 {
                assert!(own.stdout.contains("CapInh"), "{label}: {own:?}");
                let masked = host.client(&["exec", label, "--", "head", "-c", "1", "/proc/kcore"])?;
                assert_eq!(masked.stdout, "", "{label}: {masked:?}");
            }
        }
        canary.assert_untouched()?;
    }
    host.assert_nothing_leaked()
}

/// CVE-2026-41648, CVE-2026-40195 and their kind: metadata that is too much, or not what it should be, is an answer of its own.
#[test]
fn sec_cve_2026_41648_metadata_without_bounds_or_sense() -> Result<()> {
    let host = Host::ready()?;
    let supervisor = host.supervisor();
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..30 {
        let below = format!("*a{},", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    let huge = format!("architecture: x86_64\ncreation_date: 1\nproperties:\n  x: {}\n", "y".repeat(64 << 20));
    for (label, metadata) in [
        ("bomb", bomb.as_str()),
        ("huge", huge.as_str()),
        ("empty", ""),
        ("list", "- a\n- b\n"),
        ("null", "architecture: null\nproperties: null\ntemplates: null\n"),
        ("types", "architecture: [x]\ncreation_date: {}\nproperties: 7\ntemplates: [1]\n"),
        ("binary", "architecture: \u{0}\u{1}\n"),
        ("deep", &"[".repeat(100_000)),
    ] {
        let tarball = image(&host, label, |tree| Ok(fs::write(tree.join("metadata.yaml"), metadata)?))?;
        let answer = import(&host, &tarball, label)?;
        eprintln!("{label}: {} {}", answer.status, answer.stderr.trim());
        if label != "null" {
            assert_ne!(answer.status, 0, "{label}");
        }
    }
    if only_hull(&host) {
        assert_same_supervisor(&host, supervisor)?;
    }
    host.assert_nothing_leaked()
}
