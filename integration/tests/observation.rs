//! What can be seen from outside: metrics, warnings, and why something does not work.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hull_integration::{Host, Target, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

fn metrics(host: &Host) -> Result<String> {
    let answer = host.rest.get("/1.0/metrics")?;
    assert_eq!(answer.status, 200);
    Ok(String::from_utf8(answer.body)?)
}

/// The value of the first sample whose name and labels contain all of `parts`.
fn sample(text: &str, parts: &[&str]) -> Option<f64> {
    let line = text.lines().find(|line| !line.starts_with('#') && parts.iter().all(|part| line.contains(part)))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn a_running_instance_has_metrics_under_lxds_names() -> Result<()> {
    let host = Host::with_network()?;
    let web = host.running("web")?;
    host.stopped("idle")?;
    web.address()?;
    let text = metrics(&host)?;
    let of_web = r#"name="web",project="default",type="container""#;
    for name in [
        "lxd_cpu_seconds_total{cpu=",
        "lxd_procs_total{",
        "lxd_memory_MemTotal_bytes{",
        "lxd_memory_MemFree_bytes{",
        "lxd_memory_MemAvailable_bytes{",
        "lxd_memory_RSS_bytes{",
        "lxd_memory_Active_anon_bytes{",
        "lxd_memory_Cached_bytes{",
    ] {
        let value = sample(&text, &[name, of_web]).with_context(|| format!("no {name} in\n{text}"))?;
        assert!(value >= 0.0, "{name} {value}");
    }
    let labels = [r#"device="eth0""#, r#"name="web""#];
    assert!(
        sample(&text, &["lxd_network_receive_bytes_total{", labels[0], labels[1]]).is_some_and(|bytes| bytes > 0.0),
        "{text}"
    );
    assert!(sample(&text, &["lxd_procs_total{", of_web]).is_some_and(|count| count >= 1.0), "{text}");
    assert!(!text.contains(r#"name="idle""#), "only what runs has metrics");
    assert!(text.contains("# TYPE lxd_cpu_seconds_total counter"), "{text}");
    assert!(text.trim_end().ends_with("# EOF"));
    if host.target() == Target::Hull {
        let calls = ["hull_plugin_calls_total{", r#"method="start""#, r#"plugin="instance-container""#];
        assert_eq!(sample(&text, &calls), Some(1.0), "{text}");
        let memory = ["hull_plugin_memory_bytes{", r#"plugin="storage-dir@default""#];
        assert!(sample(&text, &memory).is_some_and(|bytes| bytes > 100_000.0), "{text}");
        assert_eq!(sample(&text, &["lxd_warnings_total "]), Some(0.0));
    }
    host.assert_nothing_leaked()
}

#[test]
fn a_silent_driver_makes_metrics_no_slower() -> Result<()> {
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked();
    }
    host.running("web")?;
    let driver = *host.processes_named("instance-container").first().context("the driver's process")?;
    kill(Pid::from_raw(driver), Signal::SIGSTOP)?;
    let begun = Instant::now();
    let text = metrics(&host);
    let took = begun.elapsed();
    kill(Pid::from_raw(driver), Signal::SIGCONT)?;
    assert!(took < Duration::from_secs(4), "{took:?}");
    let text = text?;
    assert!(!text.contains("lxd_network_receive_bytes_total"), "what the driver did not say is left out\n{text}");
    assert!(text.contains("hull_plugin_in_flight"));
    host.assert_nothing_leaked()
}

fn warnings(host: &Host) -> Result<Vec<Value>> {
    let all = host.rest.get("/1.0/warnings?recursion=1")?.metadata()?;
    Ok(all.as_array().cloned().unwrap_or_default())
}

fn warning_of(host: &Host, kind: &str) -> Option<Value> {
    warnings(host).ok()?.into_iter().find(|warning| warning["type"] == kind)
}

/// Kills the only process of a driver until it is not started again.
fn wear_out(host: &Host, driver: &str) -> Result<()> {
    for _ in 0..5 {
        let pid = until("the driver runs", Duration::from_secs(10), || host.processes_named(driver).first().copied())?;
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
        until("it is gone", Duration::from_secs(10), || (!host.processes_named(driver).contains(&pid)).then_some(()))?;
    }
    Ok(())
}

#[test]
fn a_driver_out_of_service_is_warned_of_and_explained() -> Result<()> {
    let mut host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked();
    }
    assert_eq!(host.hull(&["doctor"])?.ok()?.lines().filter(|line| line.starts_with("wrong")).count(), 0);
    wear_out(&host, "storage-dir")?;
    let kind = "Plugin out of service";
    let warning =
        until("a warning", Duration::from_secs(10), || warning_of(&host, kind)).with_context(|| host.log())?;
    assert_eq!((&warning["status"], &warning["severity"]), (&json!("new"), &json!("high")));
    assert_eq!(warning["entity_url"], "/1.0/plugins/storage-dir@default");
    let uuid = warning["uuid"].as_str().context("a uuid")?.to_owned();

    // LXD's own client understands it.
    let listed = host.client(&["warning", "list"])?.ok()?;
    assert!(listed.contains(&uuid) && listed.contains(kind) && listed.contains("HIGH"), "{listed}");
    assert!(host.client(&["warning", "show", &uuid])?.ok()?.contains("killed by signal 9"));
    host.client(&["warning", "acknowledge", &uuid])?.ok()?;
    assert_eq!(host.rest.get(&format!("/1.0/warnings/{uuid}"))?.metadata()?["status"], "acknowledged");
    let none = host.rest.get("/1.0/warnings?recursion=1&filter=status%20eq%20new%20and%20severity%20eq%20high")?;
    assert_eq!(none.metadata()?, json!([]));
    let refused = host.rest.put(&format!("/1.0/warnings/{uuid}"), &json!({"status": "resolved"}))?;
    assert_eq!(refused.error()?, "Status may only be set to \"acknowledge\" or \"new\"");

    let doctor = host.hull(&["doctor", "storage-dir"])?;
    assert_eq!(doctor.status, 1);
    for part in [
        "plugin storage-dir@default: out of service",
        "serves /1.0/storage-pools/default",
        "killed by signal 9 (SIGKILL)",
        "to clear it: hull plugin restart storage-dir",
    ] {
        assert!(doctor.stdout.contains(part), "{part:?} is not in\n{}", doctor.stdout);
    }
    assert_eq!(doctor.stdout.matches("killed by signal 9").count(), 6, "each end, and the reason\n{}", doctor.stdout);
    assert_eq!(host.hull(&["doctor", "nobody"])?.status, 1);

    // A daemon that starts anew has nothing against it.
    host.restart_daemon()?;
    assert_eq!(host.rest.get(&format!("/1.0/warnings/{uuid}"))?.metadata()?["status"], "resolved");
    host.client(&["warning", "delete", &uuid])?.ok()?;
    assert_eq!(host.rest.get(&format!("/1.0/warnings/{uuid}"))?.error()?, "Warning not found");
    host.stopped("works")?;
    assert_eq!(host.hull(&["doctor"])?.status, 0);
    host.assert_nothing_leaked()
}

#[test]
fn a_pool_that_is_not_there_is_warned_of_until_it_is_back() -> Result<()> {
    let mut host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked();
    }
    let (pool, away) = (host.directory().join("storage-pools/default"), host.directory().join("away"));
    host.restart_daemon_after(|| Ok(std::fs::rename(&pool, &away)?))?;
    let body = json!({"name": "web", "source": {"type": "image", "alias": "busybox"}});
    assert!(host.rest.wait(&host.rest.post("/1.0/instances", &body)?).is_err());
    let kind = "Storage pool unavailable";
    let warning =
        until("a warning", Duration::from_secs(10), || warning_of(&host, kind)).with_context(|| host.log())?;
    assert_eq!(warning["entity_url"], "/1.0/storage-pools/default");
    assert_eq!(host.hull(&["doctor"])?.status, 1);
    assert!(host.hull(&["doctor"])?.stdout.contains("mount it, or bring its disk back"));

    // Kept over the restart; resolved as soon as anybody asks for the pool, which is soon.
    host.restart_daemon_after(|| Ok(std::fs::rename(&away, &pool)?))?;
    assert!(warning_of(&host, kind).is_some());
    host.stopped("web")?;
    until("it is resolved by itself", Duration::from_secs(5), || {
        (warning_of(&host, kind)?["status"] == "resolved").then_some(())
    })?;
    host.assert_nothing_leaked()
}

#[test]
fn a_network_that_does_not_come_up_is_warned_of_until_it_does() -> Result<()> {
    let mut host = Host::with_network()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked();
    }
    let name = host.network().context("a network")?.to_owned();
    let ip = |arguments: &[&str]| -> Result<()> {
        hull_integration::run(Command::new("ip").args(arguments), "")?.ok().map(drop)
    };
    // Something else has its name.
    let peer = format!("{}p", &name[..name.len() - 1]);
    host.restart_daemon_after(|| {
        ip(&["link", "delete", &name])?;
        ip(&["link", "add", &name, "type", "veth", "peer", "name", &peer])
    })?;
    let kind = "Network unavailable";
    let warning = until("a warning", Duration::from_secs(20), || warning_of(&host, kind));
    ip(&["link", "delete", &name])?;
    let warning = warning.with_context(|| host.log())?;
    assert_eq!((&warning["severity"], &warning["project"]), (&json!("high"), &json!("default")));
    host.restart_daemon()?;
    until("it is resolved by itself", Duration::from_secs(20), || {
        (warning_of(&host, kind)?["status"] == "resolved").then_some(())
    })
    .with_context(|| host.log())?;
    host.assert_nothing_leaked()
}
