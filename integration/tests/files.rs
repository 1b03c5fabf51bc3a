//! Files of an instance, running and stopped.

use anyhow::Result;
use hull_integration::Host;

#[test]
fn files_go_in_and_come_out_with_their_owners() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let rest = &host.rest;
    let url = |path: &str| format!("/1.0/instances/web/files?path={path}");

    let headers = [("X-LXD-uid", "1000"), ("X-LXD-gid", "1000"), ("X-LXD-mode", "0640"), ("X-LXD-type", "file")];
    assert_eq!(rest.request("POST", &url("/tmp/note"), &headers, b"hello\n")?.status, 200);
    assert_eq!(web.exec(&["stat", "-c", "%u %g %a", "/tmp/note"])?.ok()?, "1000 1000 640\n");
    let append = [("X-LXD-type", "file"), ("X-LXD-write", "append")];
    rest.request("POST", &url("/tmp/note"), &append, b"more\n")?.metadata()?;
    let back = rest.get(&url("/tmp/note"))?;
    assert_eq!(String::from_utf8(back.body.clone())?, "hello\nmore\n");
    assert_eq!(back.header("x-lxd-uid"), Some("1000"));
    assert_eq!(back.header("x-lxd-mode"), Some("0640"));
    assert_eq!(back.header("x-lxd-type"), Some("file"));

    let listing = rest.get(&url("/tmp"))?;
    assert_eq!(listing.header("x-lxd-type"), Some("directory"));
    assert_eq!(listing.metadata()?, serde_json::json!(["note"]));
    rest.request("POST", &url("/tmp/folder"), &[("X-LXD-type", "directory")], b"")?.metadata()?;
    rest.request("POST", &url("/tmp/link"), &[("X-LXD-type", "symlink")], b"/etc/passwd")?.metadata()?;
    let link = rest.get(&url("/tmp/link"))?;
    assert_eq!((link.header("x-lxd-type"), link.body.as_slice()), (Some("symlink"), b"/etc/passwd".as_slice()));
    rest.delete(&url("/tmp/note"))?.metadata()?;
    assert!(rest.get(&url("/tmp/note"))?.status >= 400);
    host.assert_nothing_leaked()
}

/// What an earlier pull has left must not lead a later one out of its folder.
#[test]
fn pulling_again_follows_no_link_that_the_instance_chose() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let (backup, outside) = (host.folder().join("backup"), host.folder().join("outside"));
    std::fs::create_dir(&backup)?;
    std::fs::create_dir(&outside)?;
    std::fs::write(outside.join("file"), "mine")?;
    let links = format!("mkdir /data; ln -s {0} /data/x; ln -s {0}/file /data/f", outside.display());
    web.exec(&["sh", "-c", &links])?.ok()?;
    let target = backup.display().to_string();
    host.hull(&["file", "pull", "-r", "web/data", &target])?.ok()?;
    assert_eq!(std::fs::read_link(backup.join("data/x"))?, outside);
    web.exec(&["sh", "-c", "cd /data; rm x f; mkdir x; echo theirs > x/file; echo theirs > f"])?.ok()?;
    host.hull(&["file", "pull", "-r", "web/data", &target])?.ok()?;
    assert_eq!(std::fs::read_to_string(outside.join("file"))?, "mine");
    assert_eq!(std::fs::read_to_string(backup.join("data/x/file"))?, "theirs\n");
    assert_eq!(std::fs::read_to_string(backup.join("data/f"))?, "theirs\n");
    host.assert_nothing_leaked()
}

#[test]
fn a_large_file_arrives_whole() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let bytes: Vec<u8> = (0..8_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let url = "/1.0/instances/web/files?path=/root/large";
    host.rest.request("POST", url, &[("X-LXD-type", "file")], &bytes)?.metadata()?;
    assert_eq!(web.exec(&["wc", "-c", "/root/large"])?.ok()?.split_whitespace().next(), Some("8000000"));
    assert!(host.rest.get(url)?.body == bytes);
    host.assert_nothing_leaked()
}

#[test]
fn a_stopped_instance_has_files_too() -> Result<()> {
    let host = Host::ready()?;
    let web = host.stopped("web")?;
    let url = "/1.0/instances/web/files?path=/root/early";
    host.rest.request("POST", url, &[("X-LXD-type", "file")], b"before the first start")?.metadata()?;
    assert_eq!(host.rest.get(url)?.body, b"before the first start");
    web.start()?;
    assert_eq!(web.exec(&["stat", "-c", "%u %n", "/root/early"])?.ok()?, "0 /root/early\n");
    host.assert_nothing_leaked()
}

#[test]
fn a_path_of_the_guest_never_leads_out_of_it() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let canary = host.folder().join("canary");
    std::fs::write(&canary, "host")?;
    let target = canary.display();
    web.exec(&["sh", "-c", &format!("/bin/busybox ln -s {target} /tmp/out; /bin/busybox ln -s / /tmp/up")])?.ok()?;
    let through = host.rest.get(&format!("/1.0/instances/web/files?path=/tmp/up{target}"))?;
    assert!(through.status >= 400, "{through:?}");
    let write =
        host.rest.request("POST", "/1.0/instances/web/files?path=/tmp/out", &[("X-LXD-type", "file")], b"guest")?;
    let _refused_or_inside = write.status; // a link is replaced or followed inside; never outside
    assert_eq!(std::fs::read_to_string(&canary)?, "host");
    host.assert_nothing_leaked()
}
