//! The host is restarted, with warning and without: what ran runs again, what did not does not, nothing stale is in the way.

use std::time::Duration;

use anyhow::{Context, Result};
use hull_integration::{Host, Instance, Target, until};
use serde_json::json;

#[test]
fn after_a_restart_of_the_host_instances_are_as_they_were() -> Result<()> {
    let mut host = Host::with_network()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked(); // shares the kernel's boot id with the test
    }
    for name in ["ran", "never", "always", "off"] {
        host.stopped(name)?;
    }
    for (name, value) in [("never", "false"), ("always", "true")] {
        host.rest
            .patch(&format!("/1.0/instances/{name}"), &json!({"config": {"boot.autostart": value}}))?
            .metadata()?;
    }
    for name in ["ran", "never"] {
        Instance { host: &host, name: name.into() }.start()?;
    }
    Instance { host: &host, name: "ran".into() }.address()?;

    host.restart_host_after(|_| Ok(()))?;
    let running = |name: &str| {
        until(&format!("`{name}` runs again"), Duration::from_secs(20), || {
            let instance = Instance { host: &host, name: name.to_owned() };
            (instance.status().ok()? == "Running").then_some(())
        })
        .with_context(|| host.log())
    };
    running("ran")?;
    running("always")?;
    for name in ["never", "off"] {
        assert_eq!(Instance { host: &host, name: name.into() }.status()?, "Stopped", "{name}\n{}", host.log());
    }
    // Everything works that a fresh host can do.
    let ran = Instance { host: &host, name: "ran".into() };
    ran.address()?;
    assert_eq!(ran.exec(&["hostname"])?.ok()?, "ran\n");
    Instance { host: &host, name: "never".into() }.start()?;
    host.running("new")?.address()?;
    host.assert_nothing_leaked()
}

#[test]
fn what_a_shutdown_stopped_starts_with_the_daemon() -> Result<()> {
    let mut host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked(); // its shutdown command waits for a service manager
    }
    host.running("ran")?;
    host.stopped("off")?;
    host.hull(&["admin", "shutdown"])?.ok()?;
    host.restart_daemon()?;
    until("what ran before runs again", Duration::from_secs(20), || {
        (Instance { host: &host, name: "ran".into() }.status().ok()? == "Running").then_some(())
    })?;
    assert_eq!(Instance { host: &host, name: "off".into() }.status()?, "Stopped");

    // A supervisor that crashes is no start of the daemon.
    let ran = Instance { host: &host, name: "ran".into() };
    host.rest.patch("/1.0/instances/ran", &json!({"config": {"boot.autostart": "true"}}))?.metadata()?;
    ran.change("stop", true)?;
    let before = host.supervisor();
    host.kill_supervisor()?;
    until("another supervisor answers", Duration::from_secs(10), || {
        host.supervisor().filter(|pid| Some(*pid) != before)?;
        host.rest.get("/1.0").ok().filter(|answer| answer.status == 200)
    })?;
    std::thread::sleep(Duration::from_secs(1)); // nothing is to happen
    assert_eq!(ran.status()?, "Stopped", "{}", host.log());
    host.assert_nothing_leaked()
}
