//! A part that dies takes nothing with it: the instance runs on, the API answers, the part is back.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hull_integration::{Host, Target, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

/// Kills each part in turn while a program in the instance sends a number every 10 ms over TCP.
#[test]
fn killing_any_part_disturbs_no_instance() -> Result<()> {
    let host = Host::with_network()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked(); // one process: there is no part to kill
    }
    let web = host.running("web")?;
    web.address()?;
    let network = host.network().context("the host has a network")?;
    let gateway = host.rest.get(&format!("/1.0/networks/{network}"))?.metadata()?;
    let address = gateway["config"]["ipv4.address"]
        .as_str()
        .context("an address")?
        .split('/')
        .next()
        .context("an address")?
        .to_owned();
    let listener = TcpListener::bind((address.as_str(), 0))?;
    let port = listener.local_addr()?.port();
    let sender =
        format!("(i=0; while true; do i=$((i+1)); echo $i; /bin/busybox usleep 10000; done) | nc {address} {port} &");
    listener.set_nonblocking(true)?;
    let started = web.exec(&["sh", "-c", &format!("exec >/dev/null 2>&1 </dev/null; {sender}")])?;
    let accepted = until("the instance connects", Duration::from_secs(20), || listener.accept().ok());
    let (stream, _) = accepted.with_context(|| format!("{started:?}\n{}", host.log()))?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut numbers = BufReader::new(stream).lines();
    let mut next = || -> Result<u64> { Ok(numbers.next().context("the stream has ended")??.parse()?) };
    let first = next()?;

    let mut last = first;
    for part in ["storage-dir", "network-bridge", "instance-container", "image-file", "gateway", "supervisor"] {
        let pids = match part {
            "supervisor" => host.supervisor().into_iter().collect(),
            program => host.processes_named(program),
        };
        let killed = Instant::now();
        for pid in &pids {
            kill(Pid::from_raw(*pid), Signal::SIGKILL)?;
        }
        until(&format!("the API answers after the end of {part}"), Duration::from_secs(5), || {
            host.rest.get("/1.0/instances?recursion=2").ok().filter(|answer| answer.status == 200)
        })?;
        assert_eq!(web.exec(&["echo", part])?.ok()?, format!("{part}\n"), "{}", host.log());
        eprintln!("{part} ({} processes): works again after {:?}", pids.len(), killed.elapsed());
        let now = next()?;
        assert!(now > last, "the stream stands still after {part}");
        last = now;
    }
    assert_eq!(web.status()?, "Running");

    // Everything is back: each driver does its work again.
    let second = host.running("second")?;
    second.address()?;
    second.change("stop", true)?;
    host.assert_nothing_leaked()
}

#[test]
fn the_end_of_hull_init_is_noticed_at_once() -> Result<()> {
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked();
    }
    let first = host.running("first")?;
    // The oldest is the one that makes the others.
    let helper = host.processes_named("hull-init").into_iter().min().context("hull-init runs")?;
    kill(Pid::from_raw(helper), Signal::SIGKILL)?;
    let begun = Instant::now();
    until("commands run again", Duration::from_secs(20), || {
        (first.exec(&["hostname"]).ok()?.stdout == "first\n").then_some(())
    })?;
    assert!(begun.elapsed() < Duration::from_secs(20));
    host.running("second")?;
    host.assert_nothing_leaked()
}

#[test]
fn a_gateway_that_hangs_is_replaced() -> Result<()> {
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked();
    }
    let gateway = *host.processes_named("hull-gateway").first().context("a gateway runs")?;
    kill(Pid::from_raw(gateway), Signal::SIGSTOP)?;
    until("another one answers", Duration::from_secs(60), || {
        let mut stream = std::os::unix::net::UnixStream::connect(host.socket()).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream.write_all(b"GET /1.0 HTTP/1.1\r\nHost: hull\r\nConnection: close\r\n\r\n").ok()?;
        BufReader::new(stream).lines().next()?.ok()?.contains("200").then_some(())
    })?;
    assert!(!host.processes_named("hull-gateway").contains(&gateway));
    host.assert_nothing_leaked()
}

#[test]
fn a_new_daemon_adopts_what_runs() -> Result<()> {
    let mut host = Host::with_network()?;
    let pid = {
        let web = host.running("web")?;
        web.address()?;
        web.pid()?
    };
    host.restart_daemon()?;
    let web = hull_integration::Instance { host: &host, name: "web".into() };
    assert_eq!(web.status()?, "Running");
    assert_eq!(web.pid()?, pid);
    assert_eq!(web.exec(&["hostname"])?.ok()?, "web\n");
    web.change("stop", true)?;
    assert_eq!(web.status()?, "Stopped");
    host.assert_nothing_leaked()
}

#[test]
fn an_end_while_the_daemon_is_away_is_noticed() -> Result<()> {
    let mut host = Host::ready()?;
    let pid = host.running("web")?.pid()?;
    host.restart_daemon_after(|| Ok(kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGKILL)?))?;
    let web = hull_integration::Instance { host: &host, name: "web".into() };
    until("the end is noticed", Duration::from_secs(10), || (web.status().ok()? == "Stopped").then_some(()))?;
    web.start()?;
    host.assert_nothing_leaked()
}

#[test]
fn what_a_guest_did_while_the_daemon_is_away_has_its_usual_consequences() -> Result<()> {
    let host = Host::ready()?;
    let body = json!({"name": "brief", "ephemeral": true, "source": {"type": "image", "alias": "busybox"}});
    host.rest.wait(&host.rest.post("/1.0/instances", &body)?)?;
    let brief = i32::try_from({
        let brief = hull_integration::Instance { host: &host, name: "brief".into() };
        brief.start()?;
        brief.pid()?
    })?;
    let before = {
        let web = host.running("web")?;
        // Its own doing, some time after nobody is there to see it.
        web.exec(&["sh", "-c", "(sleep 2; /bin/busybox reboot -f) >/dev/null 2>&1 </dev/null &"])?.ok()?;
        web.pid()?
    };
    let supervisor = host.supervisor().context("there is a supervisor")?;
    // The keeper alone knows how the two have ended: the supervisor sleeps while they do, and dies of it.
    kill(Pid::from_raw(supervisor), Signal::SIGSTOP)?;
    kill(Pid::from_raw(brief), Signal::SIGKILL)?;
    std::thread::sleep(Duration::from_secs(3));
    kill(Pid::from_raw(supervisor), Signal::SIGKILL)?;
    until("the ephemeral one is deleted", Duration::from_secs(20), || {
        (host.rest.get("/1.0/instances/brief").ok()?.status == 404).then_some(())
    })?;
    let web = hull_integration::Instance { host: &host, name: "web".into() };
    until("the other has started again", Duration::from_secs(20), || {
        let pid = web.pid().ok()?;
        (pid > 0 && pid != before).then_some(())
    })?;
    assert_eq!(web.exec(&["hostname"])?.ok()?, "web\n");
    host.assert_nothing_leaked()
}

/// `SIGKILL` to the supervisor in the middle of each plan, at random moments: nothing half-made is left.
#[test]
fn a_plan_cut_anywhere_leaves_nothing_half_made() -> Result<()> {
    let host = Host::with_network()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked();
    }
    let _image_is_unpacked = host.stopped("first")?;
    for round in 0..20u64 {
        for verb in ["create", "start", "stop", "delete"] {
            cut(&host, verb, Duration::from_millis((round * 7) % 60))?;
        }
    }
    host.assert_nothing_leaked()
}

/// Starts `verb` on an instance, kills the supervisor after `wait`, and checks that what is there is whole.
fn cut(host: &Host, verb: &str, wait: Duration) -> Result<()> {
    let make = json!({"name": "cut", "source": {"type": "image", "alias": "busybox"}});
    let url = "/1.0/instances/cut";
    let exists = host.rest.get(url)?.status == 200;
    let running = exists && host.rest.get(&format!("{url}/state"))?.metadata()?["status"] == "Running";
    let start = json!({"action": "start"});
    let stop = json!({"action": "stop", "force": true, "timeout": 30});
    if verb == "create" && exists {
        if running {
            host.rest.wait(&host.rest.put(&format!("{url}/state"), &stop)?)?;
        }
        host.rest.wait(&host.rest.delete(url)?)?;
    } else if verb != "create" && !exists {
        host.rest.wait(&host.rest.post("/1.0/instances", &make)?)?;
    }
    match verb {
        "stop" if !running => drop(host.rest.wait(&host.rest.put(&format!("{url}/state"), &start)?)?),
        "start" | "delete" if running => drop(host.rest.wait(&host.rest.put(&format!("{url}/state"), &stop)?)?),
        _ => {}
    }
    let begun = match verb {
        "create" => host.rest.post("/1.0/instances", &make)?,
        "delete" => host.rest.delete(url)?,
        "start" => host.rest.put(&format!("{url}/state"), &start)?,
        _ => host.rest.put(&format!("{url}/state"), &stop)?,
    };
    begun.metadata()?;
    std::thread::sleep(wait);
    let supervisor = host.supervisor().context("a supervisor")?;
    kill(Pid::from_raw(supervisor), Signal::SIGKILL)?;
    until("another supervisor answers", Duration::from_secs(10), || {
        host.supervisor().filter(|pid| *pid != supervisor)?;
        host.rest.get("/1.0").ok().filter(|answer| answer.status == 200)
    })?;
    whole(host, verb, wait)
}

/// The instance is there entirely, or not at all: it can be used, or made.
fn whole(host: &Host, verb: &str, wait: Duration) -> Result<()> {
    let told = || format!("after `{verb}` was cut at {wait:?}\n{}", host.log());
    let cut = hull_integration::Instance { host, name: "cut".into() };
    if host.rest.get("/1.0/instances/cut")?.status == 404 {
        let volumes = host.rest.get("/1.0/storage-pools/default/volumes/container")?.metadata()?;
        assert!(!volumes.to_string().contains("/cut"), "{volumes} {}", told());
        return host.stopped("cut").map(drop).with_context(told);
    }
    until("its state settles", Duration::from_secs(10), || {
        let status = cut.status().ok()?;
        (status == "Running" || status == "Stopped").then_some(())
    })?;
    if cut.status()? == "Stopped" {
        cut.change("start", false).with_context(told)?;
    }
    assert_eq!(cut.exec(&["hostname"])?.ok().with_context(told)?, "cut\n");
    Ok(())
}
