//! From creation to deletion, and everything that may not be done on the way.

use anyhow::Result;
use hull_integration::Host;
use serde_json::json;

#[test]
fn an_instance_lives_and_leaves_nothing_behind() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    assert_eq!(web.exec(&["hostname"])?.ok()?, "web\n");
    assert_eq!(web.status()?, "Running");

    web.change("freeze", false)?;
    assert_eq!(web.status()?, "Frozen");
    web.change("unfreeze", false)?;
    web.change("restart", true)?;
    assert_eq!(web.status()?, "Running");

    web.change("stop", true)?;
    assert_eq!(web.status()?, "Stopped");
    web.delete()?;
    assert_eq!(host.rest.get("/1.0/instances/web")?.status, 404);
    host.assert_nothing_leaked()
}

#[test]
fn a_clean_stop_asks_the_init() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    web.change("stop", false)?;
    assert_eq!(web.status()?, "Stopped");
    host.assert_nothing_leaked()
}

#[test]
fn what_does_not_fit_the_state_is_refused_in_lxds_words() -> Result<()> {
    let host = Host::ready()?;
    let web = host.stopped("web")?;
    let state = "/1.0/instances/web/state";
    let change = |action: &str| host.rest.put(state, &json!({"action": action, "timeout": 5}));

    assert_eq!(change("dance")?.error()?, "Unknown action: 'dance'");
    assert!(host.client(&["stop", "web"])?.stderr.contains("The instance is already stopped"));
    assert!(host.client(&["exec", "web", "--", "true"])?.stderr.contains("Instance is not running"));
    web.start()?;
    assert!(host.client(&["start", "web"])?.stderr.contains("The instance is already running"));
    assert!(
        host.client(&["delete", "web"])?
            .stderr
            .contains("The instance is currently running, stop it first or pass --force")
    );
    assert!(host.client(&["delete", "nobody"])?.stderr.contains("Instance not found"));
    let bad = json!({"name": "a_b", "source": {"type": "image", "alias": "busybox"}});
    let error = host.rest.post("/1.0/instances", &bad)?.error()?;
    assert!(error.contains("Name can only contain alphanumeric and hyphen characters"), "{error}");
    host.assert_nothing_leaked()
}

#[test]
fn a_name_is_taken_once_even_at_the_same_moment() -> Result<()> {
    let host = Host::ready()?;
    let body = json!({"name": "twin", "source": {"type": "image", "alias": "busybox"}});
    let (first, second) = std::thread::scope(|scope| {
        let make = || host.rest.wait(&host.rest.post("/1.0/instances", &body)?);
        let (first, second) = (scope.spawn(make), scope.spawn(make));
        (first.join().expect("no panic"), second.join().expect("no panic"))
    });
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let twin = hull_integration::Instance { host: &host, name: "twin".into() };
    twin.start()?; // the loser has not taken the winner's volume with it
    host.assert_nothing_leaked()
}

#[test]
fn an_ephemeral_instance_is_gone_with_its_end() -> Result<()> {
    let host = Host::ready()?;
    let body = json!({"name": "brief", "ephemeral": true, "source": {"type": "image", "alias": "busybox"}});
    host.rest.wait(&host.rest.post("/1.0/instances", &body)?)?;
    let brief = hull_integration::Instance { host: &host, name: "brief".into() };
    brief.start()?;
    brief.change("stop", true)?;
    hull_integration::until("the instance is gone", std::time::Duration::from_secs(10), || {
        (host.rest.get("/1.0/instances/brief").ok()?.status == 404).then_some(())
    })?;
    host.assert_nothing_leaked()
}

#[test]
fn an_ephemeral_instance_survives_its_restart_and_is_gone_when_its_stop_has_ended() -> Result<()> {
    let host = Host::ready()?;
    let body = json!({"name": "brief", "ephemeral": true, "source": {"type": "image", "alias": "busybox"}});
    host.rest.wait(&host.rest.post("/1.0/instances", &body)?)?;
    let brief = hull_integration::Instance { host: &host, name: "brief".into() };
    brief.start()?;
    for _ in 0..3 {
        let before = brief.pid()?;
        brief.change("restart", true)?;
        assert_eq!(brief.status()?, "Running");
        assert_ne!(brief.pid()?, before);
    }
    brief.change("stop", true)?;
    assert_eq!(host.rest.get("/1.0/instances/brief")?.status, 404);
    host.assert_nothing_leaked()
}

/// What a client was told is changed stays so, also when the instance ends at that moment.
#[test]
fn an_end_forgets_no_change_made_meanwhile() -> Result<()> {
    let host = Host::ready()?;
    let web = host.stopped("web")?;
    for round in 0..5 {
        web.start()?;
        let done = std::sync::atomic::AtomicBool::new(false);
        let acknowledged = std::thread::scope(|scope| -> Result<u32> {
            let changes = scope.spawn(|| -> Result<u32> {
                let mut last = 0;
                for number in 1.. {
                    let note = json!({"config": {"user.note": format!("{round}/{number}")}});
                    // Refused while another verb is at work, as in any other case: then nothing was promised.
                    if host.rest.patch("/1.0/instances/web", &note)?.status == 200 {
                        last = number;
                    }
                    if done.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                }
                Ok(last)
            });
            // Not by a verb, which would keep the changes away.
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(web.pid()?)?), nix::sys::signal::SIGKILL)?;
            let stopped = hull_integration::until("it ends", std::time::Duration::from_secs(20), || {
                (web.status().ok()? == "Stopped").then_some(())
            });
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            let last = changes.join().expect("no panic")?;
            stopped.map(|()| last)
        })?;
        let shown = host.rest.get("/1.0/instances/web")?.metadata()?;
        assert_eq!(shown["config"]["user.note"], format!("{round}/{acknowledged}"));
        assert_eq!(shown["config"]["volatile.last_state.power"], "STOPPED");
    }
    host.assert_nothing_leaked()
}

#[test]
fn a_guest_may_reboot_itself() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let before = web.pid()?;
    let asked = web.exec(&["/bin/busybox", "reboot", "-f"])?;
    hull_integration::until(&format!("another init runs after {asked:?}"), std::time::Duration::from_secs(20), || {
        let pid = web.pid().ok()?;
        (pid > 0 && pid != before).then_some(())
    })?;
    host.assert_nothing_leaked()
}

#[test]
fn renaming_keeps_the_files() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("old")?;
    web.exec(&["sh", "-c", "echo here > /root/note"])?.ok()?;
    assert!(host.client(&["move", "old", "new"])?.stderr.contains("Renaming of running container not allowed"));
    web.change("stop", true)?;
    host.client(&["move", "old", "new"])?.ok()?;
    let renamed = hull_integration::Instance { host: &host, name: "new".into() };
    renamed.start()?;
    assert_eq!(renamed.exec(&["cat", "/root/note"])?.ok()?, "here\n");
    assert_eq!(renamed.exec(&["hostname"])?.ok()?, "new\n");
    host.assert_nothing_leaked()
}
