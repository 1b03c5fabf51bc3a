//! What the walls between the parts cost, and how soon a part that dies is back.
//!
//! Only Hull has parts: the groups that kill one do nothing on the other side.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::fcntl::{FcntlArg, SpliceFFlags, fcntl, splice};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::Pid;
use serde_json::json;

use super::client::Body;
use super::measures::{Extent, timed};
use super::memory::part;
use super::report::{Better, Measure, Samples};
use super::server::{Kind, Server, Stop, create, delete, post, start, stop};
use crate::machine::{check, wait_for};
use crate::workspace::{output, say};

const fn less(title: &'static str, unit: &'static str) -> Measure {
    Measure { title, unit, better: Better::Less }
}

/// One call; one that returns a descriptor; the same packets between two threads, without anything of Hull's.
struct Calls {
    round_trip: Measure,
    with_descriptor: Measure,
    bare: Measure,
}

const ON_ONE: Calls = Calls {
    round_trip: less("plugin call, round trip, on one processor", "µs"),
    with_descriptor: less("plugin call that returns a descriptor, on one processor", "µs"),
    bare: less("a bare packet socket there and back, on one processor", "µs"),
};
/// Waking a processor that sleeps takes as long as the host's hypervisor wants.
const ON_ANY: Calls = Calls {
    round_trip: less("plugin call, round trip, where the kernel puts both", "µs"),
    with_descriptor: less("plugin call that returns a descriptor, where the kernel puts both", "µs"),
    bare: less("a bare packet socket there and back, where the kernel puts both", "µs"),
};
const SPAWN: Measure = less("plugin started in its sandbox, to its first answer", "ms");
const BACK: Measure = less("storage plugin killed, to its next answer", "ms");
const PLUGIN_RECOVERS: Measure = less("container plugin killed with 100 running, to its next answer", "ms");
const SUPERVISOR_RECOVERS: Measure = less("supervisor killed with 100 running, to a list of them", "ms");
const ALONE: Measure = less("GET /1.0, nobody else", "µs");
const CROWDED: Measure = less("GET /1.0, beside 200 silent and slow clients", "µs");
const BARE_PUSH: Measure =
    Measure { title: "file push's bytes over a bare socket pair", unit: "MB/s", better: Better::More };
const BARE_STDOUT: Measure =
    Measure { title: "exec stdout's bytes over a bare socket pair", unit: "MB/s", better: Better::More };
const BARE_PIPE: Measure =
    Measure { title: "exec stdout's bytes over a bare pipe", unit: "MB/s", better: Better::More };
const BARE_MOVED: Measure = Measure {
    title: "exec stdout's bytes moved from a bare pipe into a socket pair",
    unit: "MB/s",
    better: Better::More,
};

const RUNNING: usize = 100;
const SILENT: usize = 200;
const PATIENCE: Duration = Duration::from_secs(30);
/// What Hull gives pipe and socket of a stream that goes fast.
const WIDE: usize = 1 << 20;

/// Calls and starts, in a program of hulld's own beside no daemon at all.
pub(crate) fn calls(samples: &mut Samples, built: &Path) -> Result<()> {
    say("plugin calls");
    let program = built.join("examples/plugin-calls");
    if !program.is_file() {
        bail!("there is no `{}`: build hulld's examples", program.display());
    }
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", "0"]).arg(&program);
    calls_of(samples, &mut pinned, &ON_ONE)?;
    calls_of(samples, &mut Command::new(program), &ON_ANY)
}

fn calls_of(samples: &mut Samples, program: &mut Command, measures: &Calls) -> Result<()> {
    let text = output(program)?;
    for line in text.lines() {
        let Some((word, number)) = line.split_once(' ') else { continue };
        let nanoseconds: f64 = number.parse().with_context(|| format!("`{line}` has no number"))?;
        match word {
            "call" => samples.add(measures.round_trip, nanoseconds / 1e3),
            "bare" => samples.add(measures.bare, nanoseconds / 1e3),
            "descriptor" => samples.add(measures.with_descriptor, nanoseconds / 1e3),
            "start" => samples.add(SPAWN, nanoseconds / 1e6),
            _ => bail!("`{line}` is no measure"),
        }
    }
    Ok(())
}

/// One silent or slow client delays no other.
pub(crate) fn crowd(server: &Server, samples: &mut Samples, extent: &Extent) -> Result<()> {
    let requests = |samples: &mut Samples, measure| -> Result<()> {
        let mut client = server.connect()?;
        for _ in 0..extent.requests {
            samples.add(measure, timed(|| client.raw("GET", "/1.0", Body::None).map(drop))? * 1e3);
        }
        check()
    };
    requests(samples, ALONE)?;
    if server.kind == Kind::Lxd {
        return Ok(()); // it answers nobody as long as one client says nothing: there is no figure
    }
    let crowd: Vec<UnixStream> = (0..SILENT).map(|number| loiterer(server, number)).collect::<Result<_>>()?;
    requests(samples, CROWDED)?;
    drop(crowd);
    Ok(())
}

/// Every second one says nothing, every other one stops in the middle of a head or of a body.
fn loiterer(server: &Server, number: usize) -> Result<UnixStream> {
    let mut stream = server.connect()?.into_stream();
    let beginning: &[u8] = match number % 4 {
        0 => b"GET /1.0 HTTP/1.1\r\nHost: b",
        1 => b"POST /1.0/instances HTTP/1.1\r\nHost: b\r\nContent-Length: 1000\r\n\r\n{",
        _ => b"",
    };
    stream.write_all(beginning)?;
    Ok(stream)
}

/// The same bytes as `files` and `stdout` of the other measures move, without a daemon in between.
pub(crate) fn bare(server: &Server, samples: &mut Samples, extent: &Extent) -> Result<()> {
    let bytes = extent.megabytes << 20;
    let rate = |begun: Instant| bytes as f64 / 1e6 / begun.elapsed().as_secs_f64();
    let content = vec![0x5a; bytes];
    let (ours, theirs) = UnixStream::pair()?;
    let path = server.directory().join("bare");
    let mut file = std::fs::File::create(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
    let begun = Instant::now();
    let received = std::thread::scope(|scope| {
        let receiver = scope.spawn(move || std::io::copy(&mut { theirs }, &mut file));
        let sent = { &ours }.write_all(&content);
        drop(ours);
        let received = receiver.join().unwrap_or_else(|_| Err(std::io::Error::other("the receiver panicked")));
        sent.and(received)
    })?;
    samples.add(BARE_PUSH, rate(begun));
    std::fs::remove_file(&path)?;

    if received != bytes as u64 {
        bail!("{received} bytes of {bytes} came through a socket pair");
    }
    bare_stdout(samples, extent)?;
    check()
}

/// What `dd` writes through a socket, through a pipe, and through both: a program's output has to be a pipe, or `/dev/stdout`
/// could not be opened, and a client has a socket.
fn bare_stdout(samples: &mut Samples, extent: &Extent) -> Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    samples.add(BARE_STDOUT, dd(OwnedFd::from(theirs), ours, extent)?);
    let (reader, writer) = wide_pipe()?;
    samples.add(BARE_PIPE, dd(OwnedFd::from(writer), reader, extent)?);
    let (reader, writer) = wide_pipe()?;
    let (ours, theirs) = UnixStream::pair()?;
    setsockopt(&theirs, sockopt::SndBuf, &WIDE)?;
    let moved = std::thread::spawn(move || -> nix::Result<()> {
        while splice(&reader, None, &theirs, None, WIDE, SpliceFFlags::SPLICE_F_MOVE)? > 0 {}
        Ok(())
    });
    samples.add(BARE_MOVED, dd(OwnedFd::from(writer), ours, extent)?);
    moved.join().ok().context("who moves bytes panicked")??;
    Ok(())
}

/// As large as Hull makes that of a stream.
fn wide_pipe() -> Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = std::io::pipe()?;
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(WIDE as i32))?;
    Ok((reader, writer))
}

/// Megabytes a second of what `dd` writes and this process reads.
fn dd(output: OwnedFd, input: impl Read, extent: &Extent) -> Result<f64> {
    let begun = Instant::now();
    let mut dd = Command::new("dd")
        .args(["if=/dev/zero", "bs=1M", &format!("count={}", extent.megabytes)])
        .stdout(output)
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start `dd`")?;
    let read = drain(input)?;
    let took = begun.elapsed();
    dd.wait()?;
    if read != extent.megabytes << 20 {
        bail!("{read} bytes of {} MiB came through", extent.megabytes);
    }
    Ok(read as f64 / 1e6 / took.as_secs_f64())
}

fn drain(mut stream: impl Read) -> std::io::Result<usize> {
    let (mut buffer, mut total) = (vec![0; 256 << 10], 0);
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(total),
            length => total += length,
        }
    }
}

/// A pool's driver dies; the next call waits for the new one. A pool a round: a driver that dies again at once is
/// started less and less eagerly.
pub(crate) fn killed(server: &Server, samples: &mut Samples, round: usize) -> Result<()> {
    if server.kind == Kind::Lxd {
        return Ok(());
    }
    let mut client = server.connect()?;
    let name = format!("killed{round}");
    post(&mut client, "/1.0/storage-pools", &json!({ "name": name, "driver": "dir", "config": {} }))?;
    let usage = format!("/1.0/storage-pools/{name}/resources");
    client.get(&usage)?;
    samples.add(BACK, kill_and(server, &format!("@{name}"), || client.get(&usage).is_ok())?);
    client.operation("DELETE", &format!("/1.0/storage-pools/{name}"), Body::None)?;
    check()
}

/// The instance that streams go into, if the other measures did not leave it.
pub(crate) fn container_for_streams(server: &Server) -> Result<()> {
    let mut client = server.connect()?;
    create(&mut client, "run0")?;
    start(&mut client, "run0")
}

/// With many containers: what a new container driver and a new supervisor take over.
pub(crate) fn recovery(server: &Server, samples: &mut Samples) -> Result<()> {
    const ROUNDS: usize = 3; // a driver that dies five times in two minutes is given up for a while
    if server.kind == Kind::Lxd {
        return Ok(());
    }
    let mut client = server.connect()?;
    for number in 0..RUNNING {
        create(&mut client, &format!("many{number}"))?;
        start(&mut client, &format!("many{number}"))?;
        check()?;
    }
    for _ in 0..ROUNDS {
        let state = "/1.0/instances/many0/state";
        samples.add(PLUGIN_RECOVERS, kill_and(server, "instance-", || client.get(state).is_ok())?);
        samples.add(SUPERVISOR_RECOVERS, kill_and(server, "supervisor", || lists_all(server))?);
        client = server.connect()?;
        client.get(state)?;
        check()?;
    }
    for number in 0..RUNNING {
        stop(&mut client, &format!("many{number}"), Stop::Forced)?;
        delete(&mut client, &format!("many{number}"))?;
    }
    Ok(())
}

fn lists_all(server: &Server) -> bool {
    let list = server.connect().and_then(|mut client| client.get("/1.0/instances?recursion=1"));
    let running = |list: &serde_json::Value| {
        list.as_array().into_iter().flatten().filter(|instance| instance["status"] == "Running").count()
    };
    list.is_ok_and(|list| running(&list) >= RUNNING)
}

/// Kills a part of the daemon; how long until `answered`, in ms.
fn kill_and(server: &Server, name: &str, answered: impl FnMut() -> bool) -> Result<f64> {
    let pid = part(server.pid(), name).with_context(|| format!("there is no process `{name}`"))?;
    timed(|| {
        kill(Pid::from_raw(pid), Signal::SIGKILL).with_context(|| format!("cannot kill `{name}`"))?;
        wait_for(&format!("`{name}` to be back"), PATIENCE, answered)
    })
}
