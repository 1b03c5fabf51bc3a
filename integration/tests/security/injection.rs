//! Strings that want to be more than a value (families T4, T5).

use std::collections::BTreeMap;
use std::fs;

use anyhow::Result;
use hull_integration::Host;
use serde_json::json;

use crate::support::{Canary, assert_same_supervisor, only_hull, text};

/// Whatever breaks a line, a quote or an argument somewhere.
const BREAKERS: [&str; 8] = ["\n", "\r", "\r\n", "\0", "\"", "'", "\u{2028}", "\\\n"];

/// CVE-2026-23953, GHSA-m3j6: a value with a line break is that value, or it is refused; it is never a second line.
#[test]
fn sec_cve_2026_23953_line_breaks_in_the_environment() -> Result<()> {
    let host = Host::ready()?;
    let web = host.stopped("web")?;
    let marker = host.folder().join("made-by-hook");
    for (number, breaker) in BREAKERS.iter().enumerate() {
        let value = format!("a{breaker}lxc.hook.start-host = /bin/touch {}", marker.display());
        let body = json!({"config": {format!("environment.V{number}"): value}});
        let set = host.rest.patch("/1.0/instances/web", &body)?;
        eprintln!("{value:?}: {}", set.status);
    }
    if web.start().is_ok() {
        let environment = fs::read_to_string(format!("/proc/{}/environ", web.pid()?)).unwrap_or_default();
        let names: Vec<&str> = environment.split('\0').filter_map(|pair| pair.split('=').next()).collect();
        assert!(names.iter().all(|name| !name.contains("lxc.hook")), "{names:?}");
    }
    for key in ["environment.A\nB", "environment.A=B", "user.a\nb", "limits.memory\n", "raw.lxc\nlxc.hook.start"] {
        let refused = host.rest.patch("/1.0/instances/web", &json!({"config": {key: "x"}}))?;
        let environment_key = key.starts_with("environment") || key.starts_with("user");
        assert!(refused.status >= 400 || environment_key, "{key:?}: {refused:?}");
    }
    assert!(!marker.exists(), "a line of the environment was obeyed");
    host.assert_nothing_leaked()
}

/// CVE-2022-0811: a sysctl is one sysctl, and of the container only.
#[test]
fn sec_cve_2022_0811_sysctl_values_and_names() -> Result<()> {
    let host = Host::ready()?;
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/{name}"));
    let before =
        (read("kernel/core_pattern")?, read("kernel/modprobe").unwrap_or_default(), read("vm/overcommit_memory")?);
    for (number, (key, value)) in [
        ("net.ipv4.ip_forward", "1+kernel.core_pattern=|/bin/false"),
        ("net.ipv4.ip_forward", "1\nkernel.core_pattern=|/bin/false"),
        ("kernel.core_pattern", "|/bin/false"),
        ("kernel/core_pattern", "|/bin/false"),
        ("net.ipv4.../../kernel/core_pattern", "|/bin/false"),
        ("net/../kernel/core_pattern", "|/bin/false"),
        ("kernel.modprobe", "/bin/false"),
        ("vm.overcommit_memory", "1"),
    ]
    .into_iter()
    .enumerate()
    {
        let config = json!({format!("linux.sysctl.{key}"): value});
        let body =
            json!({"name": format!("s{number}"), "source": {"type": "image", "alias": "busybox"}, "config": config});
        let made = host.rest.post("/1.0/instances", &body)?;
        if made.status < 400 && host.rest.wait(&made).is_ok() {
            let start = host.rest.put(&format!("/1.0/instances/s{number}/state"), &json!({"action": "start"}))?;
            let _refused_or_harmless = host.rest.wait(&start);
        }
        let now =
            (read("kernel/core_pattern")?, read("kernel/modprobe").unwrap_or_default(), read("vm/overcommit_memory")?);
        assert_eq!(now, before, "{key} = {value:?}");
    }
    host.assert_nothing_leaked()
}

/// Networks: dnsmasq's and nft's files have the lines that Hull writes, and no others.
#[test]
fn sec_t5_lines_for_dnsmasq_and_nft() -> Result<()> {
    let host = Host::with_network()?;
    let network = host.network().unwrap_or_default().to_owned();
    let (canary, url) = (Canary::new(&host)?, format!("/1.0/networks/{network}"));
    let evil =
        |breaker: &str| format!("x{breaker}dhcp-script=/bin/touch{breaker}conf-file={}", canary.file().display());
    for key in [
        "dns.domain",
        "dns.search",
        "ipv4.dhcp.ranges",
        "ipv4.dhcp.gateway",
        "ipv4.nat.address",
        "ipv4.routes",
        "ipv6.dhcp.ranges",
        "bridge.mtu",
        "ipv4.dhcp.expiry",
        "bridge.hwaddr",
    ] {
        for breaker in BREAKERS {
            let set = host.rest.patch(&url, &json!({"config": {key: evil(breaker)}}))?;
            assert!(set.status >= 400, "{key} took {:?}", evil(breaker));
        }
    }
    for (number, breaker) in BREAKERS.iter().enumerate() {
        for key in
            ["name", "hwaddr", "ipv4.address", "ipv6.address", "host_name", "security.mac_filtering", "limits.ingress"]
        {
            let nic = json!({"type": "nic", "network": network, "name": "eth0", key: format!("x{breaker}dhcp-script=/bin/touch")});
            let body = json!({"name": format!("n{number}"), "source": {"type": "image", "alias": "busybox"}, "devices": {"eth0": nic}});
            let made = host.rest.post("/1.0/instances", &body)?;
            let made = if made.status < 400 { host.rest.wait(&made).is_ok() } else { false };
            if made {
                let start = host.rest.put(&format!("/1.0/instances/n{number}/state"), &json!({"action": "start"}))?;
                let _refused = host.rest.wait(&start);
                let _gone = host.client(&["delete", &format!("n{number}"), "--force"])?;
            }
        }
    }
    if only_hull(&host) {
        for line in generated(&host)? {
            assert!(!line.starts_with("dhcp-script") && !line.contains("conf-file="), "{line}");
        }
    }
    // The network still does its work.
    let web = host.running("web")?;
    web.address()?;
    canary.assert_untouched()?;
    host.assert_nothing_leaked()
}

/// Every line of every file that the network driver has written.
fn generated(host: &Host) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut folders = vec![host.directory().join("plugins")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)?.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => {
                    lines.extend(fs::read_to_string(entry.path()).unwrap_or_default().lines().map(str::to_owned));
                }
                _ => {}
            }
        }
    }
    Ok(lines)
}

/// CVE-2026-28384, CVE-2026-48755, CVE-2026-62867: no string of a user becomes an option of a command.
#[test]
fn sec_cve_2026_28384_names_and_values_that_look_like_options() -> Result<()> {
    let host = Host::ready()?;
    let supervisor = host.supervisor();
    let marker = host.folder().join("made-by-option");
    let option = format!("--use-compress-program=touch {}", marker.display());
    for name in ["-rf", "--help", "-o", "a b", "a\nb", "$(id)", "../x", ".", "..", "a/b", "a\0b"] {
        let instance = json!({"name": name, "source": {"type": "image", "alias": "busybox"}});
        let made = host.rest.post("/1.0/instances", &instance)?;
        assert!(made.status >= 400, "instance {name:?}");
        let pool = json!({"name": name, "driver": "dir", "config": {}});
        assert!(host.rest.post("/1.0/storage-pools", &pool)?.status >= 400, "pool {name:?}");
        let network = json!({"name": name, "type": "bridge", "config": {}});
        assert!(host.rest.post("/1.0/networks", &network)?.status >= 400, "network {name:?}");
        let volume = json!({"name": name, "type": "custom", "config": {}});
        assert!(host.rest.post("/1.0/storage-pools/default/volumes/custom", &volume)?.status >= 400, "volume {name:?}");
    }
    for value in [option.as_str(), "gzip --rsyncable", "gzip; touch /x", "/bin/touch", "none -x", "zstd\n-o/x"] {
        for key in ["images.compression_algorithm", "backups.compression_algorithm"] {
            let set = host.rest.patch("/1.0", &json!({"config": {key: value}}))?;
            assert!(set.status >= 400, "{key} = {value}");
        }
    }
    assert!(!marker.exists());
    if only_hull(&host) {
        assert_same_supervisor(&host, supervisor)?;
    }
    host.assert_nothing_leaked()
}

/// CVE-2026-33945: the part of a key that names a file names it in its folder, or the key is refused.
#[test]
fn sec_cve_2026_33945_keys_that_are_paths() -> Result<()> {
    let host = Host::ready()?;
    let canary = Canary::new(&host)?;
    let web = host.stopped("web")?;
    let up = "../".repeat(30);
    let target = canary.file().display().to_string();
    for name in [format!("{up}{target}"), target.clone(), format!("x/{up}{target}"), "..".into()] {
        for kind in ["systemd.credential.", "systemd.credential-binary.", "environment.", "user."] {
            let config = json!({"config": {format!("{kind}{name}"): "b3ZlcndyaXR0ZW4="}});
            let set = host.rest.patch("/1.0/instances/web", &config)?;
            let of_a_file = kind.starts_with("systemd");
            assert!(set.status >= 400 || !of_a_file, "{kind}{name}");
        }
    }
    let _either_way = web.start();
    canary.assert_untouched()?;
    host.assert_nothing_leaked()
}

/// CVE-2021-43784: what is longer than a message to the helper may be is refused, or arrives whole; it never becomes
/// another message.
#[test]
fn sec_cve_2021_43784_orders_that_are_too_long() -> Result<()> {
    let host = Host::ready()?;
    let supervisor = host.supervisor();
    let web = host.running("web")?;
    web.exec(&["sh", "-c", "/bin/busybox chmod 1777 /tmp"])?.ok()?;
    let script = "echo ${#LONG} > /tmp/length; /bin/busybox id -u > /tmp/who";
    for size in [32_000, 65_530, 65_536, 66_000, 131_000, 140_000, 300_000, 1_000_000] {
        // One long value, then many of usual length.
        let one: BTreeMap<String, String> = [("LONG".to_owned(), "x".repeat(size))].into();
        let many: BTreeMap<String, String> =
            (0..size / 100).map(|number| (format!("V{number:06}"), "x".repeat(92))).collect();
        for (environment, length) in [(one, size), (many, 0)] {
            let body = json!({
                "command": ["sh", "-c", script], "environment": environment, "user": 1000,
                "wait-for-websocket": false, "interactive": false,
            });
            web.exec(&["sh", "-c", "/bin/busybox rm -f /tmp/length /tmp/who"])?.ok()?;
            let Ok(begun) = host.rest.post("/1.0/instances/web/exec", &body) else { continue };
            let ran = begun.status < 400 && host.rest.wait(&begun).is_ok();
            let said = web.exec(&["sh", "-c", "cat /tmp/length /tmp/who 2>/dev/null; true"])?.ok()?;
            let refused = said.is_empty() && size > 32_000;
            assert!(refused || said == format!("{length}\n1000\n"), "{size} ({ran}): {said:?}");
        }
    }
    assert_eq!(web.exec(&["echo", "well"])?.ok()?, "well\n");
    if only_hull(&host) {
        assert_same_supervisor(&host, supervisor)?;
    }
    host.assert_nothing_leaked()
}

/// CVE-2026-48769, CVE-2025-54293: what names a thing in a URL is no path.
#[test]
fn sec_cve_2026_48769_names_in_urls_are_no_paths() -> Result<()> {
    let host = Host::ready()?;
    let canary = Canary::new(&host)?;
    let web = host.running("web")?;
    let up = "..%2f".repeat(20);
    let target = canary.file().display().to_string().replace('/', "%2f");
    for url in [
        format!("/1.0/images/{up}{target}"),
        format!("/1.0/images/{up}{target}/export"),
        format!("/1.0/images/{}/export", "..%2fdatabase%2fhull.db"),
        format!("/1.0/instances/web/logs/{up}{target}"),
        format!("/1.0/instances/{up}web"),
        format!("/1.0/instances/web/files?path={up}{target}"),
        format!("/1.0/instances/web/files?path=/../../../..{target}"),
        format!("/1.0/instances/web/files?path=%00{target}"),
        format!("/1.0/operations/{up}{target}"),
        format!("/1.0/storage-pools/{up}x"),
        format!("/1.0/networks/{up}x"),
        format!("/1.0/profiles/{up}x"),
    ] {
        let answer = host.rest.get(&url)?;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status >= 400 && !body.contains(crate::support::SECRET), "{url}: {} {body}", answer.status);
    }
    assert_eq!(text(&host.rest.get("/1.0/instances/web")?.metadata()?["status"]), "Running");
    assert_eq!(web.status()?, "Running");
    canary.assert_untouched()?;
    host.assert_nothing_leaked()
}
