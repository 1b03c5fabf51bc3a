//! Paths that change while they are used (family T2). `HULL_TEST_ROUNDS=10000` races longer.

use std::fs;

use anyhow::Result;
use hull_integration::Host;

use crate::support::{Canary, SECRET};

/// How often files are pushed; every tenth time a disk is mounted.
fn rounds() -> usize {
    std::env::var("HULL_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(150)
}

/// CVE-2018-15664, CVE-2021-30465, CVE-2024-45310: inside, a folder and a link out of it change places all the time, while files
/// are pushed and pulled through the name and disks are mounted below it.
#[test]
fn sec_cve_2021_30465_a_folder_that_becomes_a_link() -> Result<()> {
    let host = Host::ready()?;
    let canary = Canary::new(&host)?;
    let share = host.folder().join("share");
    fs::create_dir(&share)?;
    fs::write(share.join("mark"), "share")?;
    let web = host.running("web")?;
    let outside = canary.folder.display();
    // The host's path, its path through another process's root, and the way up.
    let swapper = format!(
        "exec >/dev/null 2>&1 </dev/null; (while :; do \
           for to in {outside} /proc/1/root/{outside} ../../../../../../../..{outside}; do \
             /bin/busybox rm -rf /tmp/way; /bin/busybox ln -s $to /tmp/way; \
             /bin/busybox rm -f /tmp/way; /bin/busybox mkdir -p /tmp/way; \
           done; done) &"
    );
    web.exec(&["sh", "-c", &swapper])?.ok()?;
    let url = "/1.0/instances/web/files?path=/tmp/way/file";
    let headers = [("X-LXD-type", "file"), ("X-LXD-mode", "0666")];
    let mut reached = 0;
    for round in 0..rounds() {
        let pulled = host.rest.get(url)?;
        assert!(!String::from_utf8_lossy(&pulled.body).contains(SECRET), "round {round}: the canary came out");
        let pushed = host.rest.request("POST", url, &headers, b"overwritten")?;
        reached += u32::from(pushed.status == 200);
        if round % 3 == 0 {
            let _either_way = host.rest.request(
                "POST",
                "/1.0/instances/web/files?path=/tmp/way/d",
                &[("X-LXD-type", "directory")],
                b"",
            )?;
            let _either_way = host.rest.delete(url)?;
        }
        canary.assert_untouched()?;
    }
    eprintln!("{reached} of {} pushes found the folder", rounds());
    let source = format!("source={}", share.display());
    let mut mounted = 0;
    for round in 0..rounds() / 10 {
        let add = ["config", "device", "add", "web", "d1", "disk", &source, "path=/tmp/way/mounted"];
        if host.client(&add)?.status == 0 {
            let mounts = fs::read_to_string("/proc/self/mountinfo")?;
            assert!(!mounts.contains(&outside.to_string()), "round {round}: mounted on the host");
            mounted += 1;
            host.client(&["config", "device", "remove", "web", "d1"])?.ok()?;
        }
        canary.assert_untouched()?;
    }
    eprintln!("{mounted} of {} mounts found the folder", rounds() / 10);
    host.assert_nothing_leaked()
}

/// CVE-2015-1335: the target of a disk is a link of the container's.
#[test]
fn sec_cve_2015_1335_mount_targets_are_links() -> Result<()> {
    let host = Host::ready()?;
    let canary = Canary::new(&host)?;
    let share = host.folder().join("share");
    fs::create_dir(&share)?;
    let web = host.running("web")?;
    let outside = canary.folder.display();
    let links = format!(
        "/bin/busybox ln -s {outside} /absolute; /bin/busybox ln -s ../../../../..{outside} /up; /bin/busybox ln -s /proc/1/root /magic"
    );
    web.exec(&["sh", "-c", &links])?.ok()?;
    let source = format!("source={}", share.display());
    for (number, path) in
        ["/absolute", "/up", "/absolute/deep", "/magic/tmp/m", "/proc/self/fd", "/dev/../absolute"].iter().enumerate()
    {
        let (name, path) = (format!("d{number}"), format!("path={path}"));
        let _either_way = host.client(&["config", "device", "add", "web", &name, "disk", &source, &path])?;
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        assert!(!mounts.contains(&outside.to_string()), "{path}");
        canary.assert_untouched()?;
    }
    // The same at a start.
    let _either_way = web.change("stop", true);
    let _either_way = web.change("start", false);
    canary.assert_untouched()?;
    host.assert_nothing_leaked()
}
