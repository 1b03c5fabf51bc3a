//! What is measured, each group one function that adds its samples for one side.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::client::{Body, Client};
use super::report::{Better, Measure, Samples};
use super::server::{Server, Stop, create, create_empty, delete, start, stop};
use super::websocket;
use crate::machine::check;

const fn ms(title: &'static str) -> Measure {
    Measure { title, unit: "ms", better: Better::Less }
}

const fn rate(title: &'static str) -> Measure {
    Measure { title, unit: "/s", better: Better::More }
}

const fn throughput(title: &'static str) -> Measure {
    Measure { title, unit: "MB/s", better: Better::More }
}

pub(crate) const COLD_START: Measure = ms("daemon cold start (new, to first answer)");
const RESTART: Measure = ms("daemon start with pool and bridge");
const CREATE: Measure = ms("create");
const START: Measure = ms("start");
const CLEAN_STOP: Measure = ms("clean stop");
const FORCED_STOP: Measure = ms("forced stop");
const DELETE: Measure = ms("delete");
const LAUNCHES: [(usize, Measure); 3] =
    [(1, rate("launch 24, 1 at a time")), (2, rate("launch 24, 2 at a time")), (8, rate("launch 24, 8 at a time"))];
const EXEC: Measure = ms("exec `true`");
const STDOUT: Measure = throughput("exec stdout");
const PUSH: Measure = throughput("file push");
const PULL: Measure = throughput("file pull");
const GET: Measure = Measure { title: "GET /1.0, 1 connection", unit: "µs", better: Better::Less };
const GET_MANY: Measure = rate("GET /1.0, 16 connections");
const RUNNING: [Measure; 3] =
    [ms("list recursion=0, 24 running"), ms("list recursion=1, 24 running"), ms("list recursion=2, 24 running")];
const STOPPED: [Measure; 3] =
    [ms("list recursion=0, many stopped"), ms("list recursion=1, many stopped"), ms("list recursion=2, many stopped")];
const IDLE: Measure = Measure { title: "idle for a minute, all processes (PSS)", unit: "MiB", better: Better::Less };
const MARGINAL: Measure = Measure { title: "per running container (PSS)", unit: "MiB", better: Better::Less };
const PROCESSES: Measure =
    Measure { title: "processes per running container, outside of it", unit: "", better: Better::Less };

/// More than the minute after which Hull stops drivers that nobody calls.
const LULL: Duration = Duration::from_secs(70);
pub(crate) const RUNNING_COUNT: usize = 24;
const MIB: f64 = 1048576.0;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) rounds: usize,
    pub(crate) execs: usize,
    pub(crate) requests: usize,
    pub(crate) lists: usize,
    pub(crate) megabytes: usize,
    pub(crate) stopped: usize,
}

/// One instance through its life.
pub(crate) fn lifecycle(server: &Server, samples: &mut Samples, round: usize) -> Result<()> {
    let mut client = server.connect()?;
    let name = format!("life{round}");
    samples.add(CREATE, timed(|| create(&mut client, &name))?);
    for (how, measure) in [(Stop::Clean, CLEAN_STOP), (Stop::Forced, FORCED_STOP)] {
        samples.add(START, timed(|| start(&mut client, &name))?);
        settle(&mut client, &name)?;
        let took = timed(|| stop(&mut client, &name, how))?;
        samples.add(measure, (took - server.kind.stop_overhead()).max(0.0));
    }
    samples.add(DELETE, timed(|| delete(&mut client, &name))?);
    check()
}

/// What a daemon with a pool and a bridge needs that has worked, and has had nothing to do for a while; once.
pub(crate) fn idle(server: &Server, samples: &mut Samples) -> Result<()> {
    if samples.has(IDLE) {
        return Ok(());
    }
    let until = Instant::now() + LULL;
    while Instant::now() < until {
        check()?;
        std::thread::sleep(Duration::from_millis(100)); // nothing happens: that is what is measured
    }
    samples.add(IDLE, server.footprint().pss / MIB);
    Ok(())
}

/// `RUNNING_COUNT` instances at three widths. The last ones stay, as `run0`, `run1`, …
pub(crate) fn launches(server: &Server, samples: &mut Samples) -> Result<()> {
    let mut client = server.connect()?;
    create(&mut client, "first")?; // the drivers run
    start(&mut client, "first")?;
    stop(&mut client, "first", Stop::Forced)?;
    delete(&mut client, "first")?;
    let before = server.footprint();
    for (index, (width, measure)) in LAUNCHES.into_iter().enumerate() {
        let begun = Instant::now();
        each(server, width, |client, number| {
            let name = format!("run{number}");
            create(client, &name)?;
            start(client, &name)
        })?;
        samples.add(measure, RUNNING_COUNT as f64 / begun.elapsed().as_secs_f64());
        if index + 1 < LAUNCHES.len() {
            remove_running(server)?;
        }
    }
    let after = server.footprint();
    samples.add(MARGINAL, (after.pss - before.pss) / MIB / RUNNING_COUNT as f64);
    samples.add(PROCESSES, (after.processes - before.processes) / RUNNING_COUNT as f64);
    Ok(())
}

/// Ends what [`launches`] left.
pub(crate) fn remove_running(server: &Server) -> Result<()> {
    each(server, 4, |client, number| {
        let name = format!("run{number}");
        stop(client, &name, Stop::Forced)?;
        delete(client, &name)
    })
}

/// Lists while [`launches`]' instances run.
pub(crate) fn running_lists(server: &Server, samples: &mut Samples, extent: &Extent) -> Result<()> {
    lists(server, samples, RUNNING, extent.lists)
}

/// Lists of `extent.stopped` instances, which are made first and stay.
pub(crate) fn stopped_lists(server: &Server, samples: &mut Samples, extent: &Extent) -> Result<()> {
    let next = AtomicUsize::new(0);
    in_parallel(server, 2, |client| {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= extent.stopped {
                return Ok(());
            }
            create_empty(client, &format!("still{number}"))?;
            check()?;
        }
    })?;
    lists(server, samples, STOPPED, extent.lists.min(5))
}

fn lists(server: &Server, samples: &mut Samples, measures: [Measure; 3], count: usize) -> Result<()> {
    let mut client = server.connect()?;
    for (recursion, measure) in measures.into_iter().enumerate() {
        let path = format!("/1.0/instances?recursion={recursion}");
        for _ in 0..count {
            samples.add(measure, timed(|| client.raw("GET", &path, Body::None).map(drop))?);
            check()?;
        }
    }
    Ok(())
}

/// `true`, from the request to its exit status; one connection. In the instance `run0`.
pub(crate) fn execs(server: &Server, samples: &mut Samples, extent: &Extent) -> Result<()> {
    let mut client = server.connect()?;
    let body = json!({
        "command": ["/bin/true"], "environment": {}, "interactive": false, "wait-for-websocket": false,
    });
    for _ in 0..extent.execs {
        let took = timed(|| {
            let done = client.operation("POST", "/1.0/instances/run0/exec", Body::Json(&body))?;
            if done["return"] == 0 { Ok(()) } else { bail!("`true` ended with {}", done["return"]) }
        })?;
        samples.add(EXEC, took);
        check()?;
    }
    Ok(())
}

/// Zeros from a program in `run0` to here, over exec's websockets.
pub(crate) fn stdout(server: &Server, samples: &mut Samples, extent: &Extent) -> Result<()> {
    let mut client = server.connect()?;
    let count = format!("count={}", extent.megabytes);
    let body = json!({
        "command": ["dd", "if=/dev/zero", "bs=1M", count], "environment": {"PATH": "/bin"}, "interactive": false,
        "wait-for-websocket": true,
    });
    let answer = client.answer("POST", "/1.0/instances/run0/exec", Body::Json(&body))?;
    let operation = answer["operation"].as_str().context("exec began no operation")?;
    let secrets = answer.pointer("/metadata/metadata/fds").context("exec named no websockets")?;
    let open = |fd: &str| {
        let secret = secrets[fd].as_str().with_context(|| format!("exec has no websocket `{fd}`"))?;
        server.connect()?.upgrade(&format!("{operation}/websocket?secret={secret}"))
    };
    // The program starts when the last one is connected.
    let (control, mut stdin, mut output, mut errors) = (open("control")?, open("0")?, open("1")?, open("2")?);
    let begun = Instant::now();
    let bytes = std::thread::scope(|scope| {
        let aside = scope.spawn(move || websocket::drain(&mut errors));
        let input = scope.spawn(move || {
            websocket::close(&mut stdin)?;
            websocket::drain(&mut stdin)
        });
        let bytes = websocket::drain(&mut output).context("stdout broke off");
        drop(control);
        for thread in [aside, input] {
            // What the other two streams said does not matter here; that they ended does.
            let _ = thread.join();
        }
        bytes
    })?;
    let took = begun.elapsed().as_secs_f64();
    if bytes != (extent.megabytes as u64) << 20 {
        bail!("{bytes} bytes of {} MiB came through stdout", extent.megabytes);
    }
    client.wait(operation)?;
    samples.add(STDOUT, bytes as f64 / 1e6 / took);
    Ok(())
}

/// A file into `run0` and out of it.
pub(crate) fn files(server: &Server, samples: &mut Samples, extent: &Extent) -> Result<()> {
    let mut client = server.connect()?;
    let content = vec![0x5a; extent.megabytes << 20];
    let path = "/1.0/instances/run0/files?path=/root/bench";
    let took = timed(|| client.raw("POST", path, Body::Bytes(&content)).map(drop))?;
    samples.add(PUSH, content.len() as f64 / 1e3 / took);
    let mut pulled = Vec::new();
    let took = timed(|| client.raw("GET", path, Body::None).map(|body| pulled = body))?;
    if pulled != content {
        bail!("the file came back changed: {} bytes of {}", pulled.len(), content.len());
    }
    samples.add(PULL, content.len() as f64 / 1e3 / took);
    client.raw("DELETE", path, Body::None).map(drop)
}

/// The smallest request there is.
pub(crate) fn requests(server: &Server, samples: &mut Samples, extent: &Extent) -> Result<()> {
    let mut client = server.connect()?;
    for _ in 0..extent.requests {
        samples.add(GET, timed(|| client.raw("GET", "/1.0", Body::None).map(drop))? * 1e3);
    }
    let (done, begun) = (AtomicUsize::new(0), Instant::now());
    in_parallel(server, 16, |client| {
        while done.fetch_add(1, Ordering::Relaxed) < extent.requests * 4 {
            client.raw("GET", "/1.0", Body::None)?;
        }
        Ok(())
    })?;
    samples.add(GET_MANY, (extent.requests * 4) as f64 / begun.elapsed().as_secs_f64());
    check()
}

/// With everything there is by now.
pub(crate) fn restart(server: &mut Server, samples: &mut Samples) -> Result<()> {
    samples.add(RESTART, server.restart()?);
    check()
}

/// `work` for each number below [`RUNNING_COUNT`], `width` at a time.
fn each(server: &Server, width: usize, work: impl Fn(&mut Client, usize) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    in_parallel(server, width, |client| {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= RUNNING_COUNT {
                return Ok(());
            }
            work(client, number)?;
            check()?;
        }
    })
}

/// `work` on `width` threads, each with a connection of its own; the first failure.
fn in_parallel(server: &Server, width: usize, work: impl Fn(&mut Client) -> Result<()> + Sync) -> Result<()> {
    let mut clients = (0..width).map(|_| server.connect()).collect::<Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = clients.iter_mut().map(|client| scope.spawn(move || work(client))).collect();
        let ended = threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => bail!("a thread of the bench panicked"),
        });
        ended.fold(Ok(()), Result::and)
    })
}

/// Waits until the instance's init has set its signals up: it answers to `exec` then.
fn settle(client: &mut Client, name: &str) -> Result<()> {
    let body = json!({
        "command": ["/bin/sh", "-c", "until grep -q '^SigCgt:.*[1-9a-f]' /proc/1/status; do :; done"],
        "environment": {"PATH": "/bin"}, "interactive": false, "wait-for-websocket": false,
    });
    client.operation("POST", &format!("/1.0/instances/{name}/exec"), Body::Json(&body)).map(drop)
}

/// In ms.
pub(crate) fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    work()?;
    Ok(Duration::as_secs_f64(&begun.elapsed()) * 1e3)
}
