//! Operations tell the truth: what can be cancelled, what was given up, and that nothing stays busy when its work is over.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hull_integration::{Host, Instance, Target, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// An instance that obeys nobody any more: its init stands still.
fn hung<'a>(host: &'a Host, name: &str) -> Result<Instance<'a>> {
    let instance = host.running(name)?;
    kill(Pid::from_raw(i32::try_from(instance.pid()?)?), Signal::SIGSTOP)?;
    Ok(instance)
}

/// Asks for a change of state that will not come about by itself; the operation's URL.
fn begin(host: &Host, name: &str, action: &str) -> Result<String> {
    let body = json!({"action": action, "force": false, "timeout": 600});
    let answer = host.rest.put(&format!("/1.0/instances/{name}/state"), &body)?;
    answer.metadata()?;
    let operation = answer.json()?["operation"].as_str().context("an operation")?.to_owned();
    until("the operation runs", Duration::from_secs(5), || (status(host, &operation)? == "Running").then_some(()))?;
    Ok(operation)
}

fn status(host: &Host, operation: &str) -> Option<String> {
    let shown = host.rest.get(operation).ok()?.metadata().ok()?;
    Some(shown["status"].as_str()?.to_owned())
}

/// Asked beforehand, since an operation is forgotten a few seconds after its end.
fn end_of(host: &Host, operation: &str) -> std::thread::JoinHandle<Result<Value>> {
    let (rest, wait) = (host.rest.clone(), format!("{operation}/wait?timeout=60"));
    std::thread::spawn(move || rest.get(&wait)?.metadata())
}

fn ended(waiting: std::thread::JoinHandle<Result<Value>>) -> Result<Value> {
    waiting.join().map_err(|_| anyhow::anyhow!("the waiting thread panicked"))?
}

/// lxd#11300: there, what was to stop a hung instance left it "busy running a stop operation" for ever.
#[test]
fn a_forced_stop_overrules_a_clean_one_that_hangs() -> Result<()> {
    let host = Host::ready()?;
    let web = hung(&host, "web")?;
    let clean = begin(&host, "web", "stop")?;
    let end = end_of(&host, &clean);
    assert_eq!(web.status()?, "Running");

    let begun = Instant::now();
    web.change("stop", true)?;
    assert!(begun.elapsed() < Duration::from_secs(20), "it waited for the clean stop: {:?}", begun.elapsed());
    assert_eq!(web.status()?, "Stopped");
    let end = ended(end)?;
    assert_ne!(end["status"], "Running", "its work is over, and so is the operation");
    if host.target() == Target::Hull {
        assert_eq!(end["status"], "Failure");
        assert!(end["err"].as_str().is_some_and(|text| text.contains("stopped by force")), "{end}");
    }
    web.start()?; // nothing is busy with it any more
    host.assert_nothing_leaked()
}

/// lxd#17568: there, an instance stopped by force in the middle of a hung restart starts again by itself.
#[test]
fn what_was_stopped_by_force_during_a_restart_stays_stopped() -> Result<()> {
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked(); // it starts again there, which is what this story is about
    }
    let web = hung(&host, "web")?;
    let restart = begin(&host, "web", "restart")?;
    let end = end_of(&host, &restart);
    web.change("stop", true)?;
    let end = ended(end)?;
    assert_eq!(end["status"], "Failure", "{end}");
    let until_when = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until_when {
        assert_eq!(web.status()?, "Stopped", "it started again by itself\n{}", host.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    web.start()?;
    host.assert_nothing_leaked()
}

/// Whatever a daemon says of an operation must be so: what may be cancelled ends when it is, what may not goes on.
#[test]
fn what_says_that_it_can_be_cancelled_can_be_and_nothing_else() -> Result<()> {
    let host = Host::ready()?;
    let web = hung(&host, "web")?;
    let stop = begin(&host, "web", "stop")?;
    let end = end_of(&host, &stop);
    let may_cancel = host.rest.get(&stop)?.metadata()?["may_cancel"] == true;
    let answer = host.rest.delete(&stop)?;
    assert_eq!(answer.status == 200, may_cancel, "{:?}", answer.json());
    if may_cancel {
        let end = ended(end)?;
        assert_eq!(end["status"], "Cancelled", "{end}");
        assert!(
            end["err"].as_str().is_some_and(|text| text.contains("asked to shut down")),
            "says what it left: {end}"
        );
        assert_eq!(host.rest.delete(&stop)?.error()?, "This operation can't be cancelled");
    } else {
        assert_eq!(answer.error()?, "This operation can't be cancelled");
        assert_eq!(status(&host, &stop).as_deref(), Some("Running"));
    }
    assert_eq!(web.status()?, "Running");
    web.change("stop", true)?;
    host.assert_nothing_leaked()
}

#[test]
fn a_cancelled_command_is_gone() -> Result<()> {
    let host = Host::ready()?;
    let web = host.running("web")?;
    let body = json!({"command": ["sleep", "4711"], "wait-for-websocket": false, "interactive": false});
    let answer = host.rest.post("/1.0/instances/web/exec", &body)?;
    answer.metadata()?;
    let operation = answer.json()?["operation"].as_str().context("an operation")?.to_owned();
    let runs = || web.exec(&["ps"]).map(|shown| shown.stdout.contains("sleep 4711"));
    until("the command runs", Duration::from_secs(10), || runs().ok()?.then_some(()))?;
    let may_cancel = host.rest.get(&operation)?.metadata()?["may_cancel"] == true;
    let cancelled = host.rest.delete(&operation)?.status == 200;
    assert_eq!(cancelled, may_cancel);
    if cancelled {
        until("the command is gone", Duration::from_secs(10), || (!runs().ok()?).then_some(()))?;
    }
    web.change("stop", true)?;
    host.assert_nothing_leaked()
}

#[test]
fn a_cancelled_build_of_an_image_leaves_nothing() -> Result<()> {
    let host = Host::empty()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked(); // it builds none
    }
    let source = json!({"type": "image", "mode": "pull", "protocol": "debian", "server": "", "alias": "bookworm"});
    let answer = host.rest.post("/1.0/images", &json!({"source": source}))?;
    answer.metadata()?;
    let operation = answer.json()?["operation"].as_str().context("an operation")?.to_owned();
    let end = end_of(&host, &operation);
    until("the build is under way, or has failed", Duration::from_secs(60), || {
        let shown = host.rest.get(&operation).ok()?.metadata().ok()?;
        (shown["metadata"]["download_progress"].is_string() || shown["status"] != "Running").then_some(())
    })?;
    if status(&host, &operation).as_deref() == Some("Running") {
        assert_eq!(host.rest.delete(&operation)?.status, 200);
        let end = ended(end)?;
        assert_eq!(end["status"], "Cancelled", "{end}");
        assert!(end["err"].as_str().is_some_and(|text| text.contains("nothing of the image is kept")), "{end}");
    } else {
        eprintln!("no mirror answers: {:?}", ended(end)?["err"]);
    }
    assert_eq!(host.rest.get("/1.0/images")?.metadata()?, json!([]));
    until("the build's programs are gone", Duration::from_secs(20), || {
        host.processes_named("perl").is_empty().then_some(())
    })?;
    let left = host.directory().join("plugins/image-debian/builds");
    until("its files are gone", Duration::from_secs(20), || {
        let entries = std::fs::read_dir(&left).map(Iterator::count).unwrap_or(0);
        (entries == 0).then_some(())
    })?;
    host.assert_nothing_leaked()
}

/// Puts the driver of the slow pool where the daemon looks for drivers of others.
fn install_probe(host: &mut Host) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let place = host.directory().join("plugins/storage-probe");
    let program = Host::programs()?.join("examples/storage-probe");
    host.restart_daemon_after(|| {
        std::fs::create_dir_all(&place)?;
        let manifest = include_str!("../../supervisor/tests/fixtures/storage-probe.toml");
        std::fs::write(place.join("plugin.toml"), manifest)?;
        std::fs::copy(&program, place.join("storage-probe"))
            .with_context(|| format!("`{}`: `cargo build -p hulld --examples`", program.display()))?;
        std::fs::set_permissions(place.join("storage-probe"), PermissionsExt::from_mode(0o755))?;
        Ok(())
    })
}

/// In KiB. An operation is a task, a record and a few documents: tens of KiB. 200 of them at 100 KiB are 20 MiB, and the
/// allocator's arenas and a worker's stack or two may come on top. What this finds is a thread, an image or a connection for
/// each of them: 200 of those are far more.
const MOST_GROWTH: u64 = 64 << 10;

/// What the supervisor has in memory, in KiB.
fn resident(host: &Host) -> Result<u64> {
    let supervisor = host.supervisor().context("there is no supervisor")?;
    let status = std::fs::read_to_string(format!("/proc/{supervisor}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

#[test]
fn two_hundred_operations_on_a_slow_pool_are_nobody_elses_trouble() -> Result<()> {
    let mut host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked(); // there is no pool to be had that is slow at will
    }
    install_probe(&mut host)?;
    let pool = json!({"name": "slow", "driver": "probe", "config": {}});
    host.rest.post("/1.0/storage-pools", &pool)?.metadata().with_context(|| host.log())?;
    let _unpacked_already = host.stopped("first")?;
    let slow = host.directory().join("storage-pools/slow/slow");
    std::fs::write(&slow, "400")?;
    // The probe is a user of its own; pools are closed to everybody.
    let place = host.directory().join("storage-pools/slow");
    std::fs::set_permissions(&place, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    std::fs::set_permissions(&slow, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;

    let create = |number: usize| {
        let root = json!({"root": {"type": "disk", "path": "/", "pool": "slow"}});
        let source = json!({"type": "image", "alias": "busybox"});
        host.rest.post("/1.0/instances", &json!({"name": format!("s{number}"), "devices": root, "source": source}))
    };
    let before = resident(&host)?;
    let begun = Instant::now();
    let answers = (0..200).map(create).collect::<Result<Vec<_>>>()?;
    let asked = begun.elapsed();
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 202);
    for answer in &refused {
        assert_eq!(answer.status, 503);
        assert!(answer.error()?.contains("storage pool \"slow\" is busy"), "{}", answer.error()?);
        let seconds: u64 = answer.header("retry-after").context("a Retry-After")?.parse()?;
        assert!(seconds >= 1);
    }
    eprintln!("{} accepted and {} refused within {asked:?}", accepted.len(), refused.len());
    assert!(accepted.len() >= 36 && refused.len() >= 100, "{} accepted, {} refused", accepted.len(), refused.len());

    let grown = resident(&host)?.saturating_sub(before);
    eprintln!("the supervisor's memory: {before} KiB before, {grown} KiB more with them open");
    assert!(grown <= MOST_GROWTH, "{grown} KiB for 200 requests of which {} are open", accepted.len());

    // Meanwhile the other pool works, and lists are answered.
    let begun = Instant::now();
    let other = host.running("other")?;
    other.change("stop", true)?;
    other.delete()?;
    eprintln!("created, started, stopped and deleted elsewhere within {:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!(host.rest.get("/1.0/instances?recursion=2")?.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());

    std::fs::write(&slow, "0")?;
    for answer in &accepted {
        let operation = answer.json()?["operation"].as_str().context("an operation")?.to_owned();
        let over = || (status(&host, &operation).as_deref() != Some("Running")).then_some(());
        until("it ends", Duration::from_secs(60), over)?;
    }
    let made = host.rest.get("/1.0/instances")?.metadata()?.as_array().map_or(0, Vec::len);
    assert_eq!(made, accepted.len() + 1, "all that was accepted was done");
    assert_eq!(create(1000)?.status, 202, "there is room again");
    until("nothing is under way", Duration::from_secs(30), || {
        let operations = host.rest.get("/1.0/operations").ok()?.metadata().ok()?;
        operations.get("running").is_none().then_some(())
    })?;
    host.assert_nothing_leaked()
}
