//! The pulse of an instance, and an exec that is open all the time.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::watch::{LONGEST_GAP, Log};
use crate::command::{run, until};
use crate::daemon::programs;
use crate::{Host, Instance};

const PROGRAM: &str = "/bin/hull-pulse";
const RECORD: &str = "/root/pulse";

/// The pulse of one instance, listened to by a thread of its own.
pub(super) struct Pulse {
    pub(super) log: Log,
    last: Arc<AtomicU64>,
}

impl Pulse {
    /// Puts the program into the instance and starts it; it sends to the host's end of the instance's network.
    pub(super) fn start(instance: &Instance<'_>) -> Result<Self> {
        instance.address()?;
        install(instance)?;
        let network = instance.host.network().context("the host has no network")?;
        let gateway = instance.host.rest.get(&format!("/1.0/networks/{network}"))?.metadata()?;
        let address = gateway["config"]["ipv4.address"].as_str().and_then(|text| text.split('/').next());
        let listener = TcpListener::bind((address.context("the network has no address")?, 0))?;
        let line = format!("{PROGRAM} {} {RECORD} >/dev/null 2>&1 </dev/null &", listener.local_addr()?);
        instance.exec(&["sh", "-c", &line])?.ok()?;
        listener.set_nonblocking(true)?;
        let (stream, _) = until("the pulse begins", Duration::from_secs(20), || listener.accept().ok())?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let pulse = Self { log: Log::default(), last: Arc::default() };
        let (log, last) = (pulse.log.clone(), pulse.last.clone());
        std::thread::spawn(move || listen(BufReader::new(stream), &log, &last));
        Ok(pulse)
    }

    /// Everything it has sent is on its disk, in order.
    pub(super) fn check_record(&self, instance: &Instance<'_>) -> Result<()> {
        let heard = self.last.load(Ordering::Relaxed);
        let answer = instance.host.rest.get(&format!("/1.0/instances/{}/files?path={RECORD}", instance.name))?;
        if answer.status != 200 {
            bail!("the record of the pulse cannot be read: {}", String::from_utf8_lossy(&answer.body));
        }
        let text = String::from_utf8_lossy(&answer.body);
        let mut expected = 0u64;
        // The last line may be cut: it is being written.
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            if number(line) != Some(expected) {
                bail!("the record of the pulse has `{}` where number {expected} belongs", line.trim());
            }
            expected += 1;
        }
        if expected <= heard {
            bail!("the record of the pulse ends before {expected}, but {heard} has been heard");
        }
        Ok(())
    }
}

fn listen(stream: impl BufRead, log: &Log, last: &AtomicU64) {
    let mut before = Instant::now();
    for (expected, line) in (0u64..).zip(stream.lines()) {
        let Ok(line) = line else { break };
        if number(&line) != Some(expected) {
            log.failure(format!("the pulse sent `{line}` where number {expected} belongs"));
            return;
        }
        last.store(expected, Ordering::Relaxed);
        if before.elapsed() > LONGEST_GAP / 4 {
            log.delay(before, before.elapsed());
        }
        before = Instant::now();
    }
    log.failure("the pulse has ended".into());
}

fn number(line: &str) -> Option<u64> {
    line.split(' ').next()?.trim().parse().ok()
}

/// The program with the libraries it is linked to, at the places where it looks for them.
fn install(instance: &Instance<'_>) -> Result<()> {
    let program = programs()?.join("hull-pulse");
    push(instance, &program, Path::new(PROGRAM))?;
    let linked = run(Command::new("ldd").arg(&program), "")?.ok()?;
    for path in linked.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/'))) {
        push(instance, Path::new(path), Path::new(path))?;
    }
    Ok(())
}

fn push(instance: &Instance<'_>, from: &Path, to: &Path) -> Result<()> {
    let url = |path: &Path| format!("/1.0/instances/{}/files?path={}", instance.name, path.display());
    let content = std::fs::read(from).with_context(|| format!("cannot read `{}`", from.display()))?;
    let parents: Vec<&Path> = to.ancestors().skip(1).filter(|path| *path != Path::new("/")).collect();
    for parent in parents.into_iter().rev() {
        // One that is there is as good.
        instance.host.rest.request(
            "POST",
            &url(parent),
            &[("X-LXD-type", "directory"), ("X-LXD-mode", "0755")],
            b"",
        )?;
    }
    let headers = [("X-LXD-type", "file"), ("X-LXD-mode", "0755"), ("Content-Type", "application/octet-stream")];
    instance.host.rest.request("POST", &url(to), &headers, &content)?.metadata().map(drop)
}

/// `cat` in an instance, fed with lines all the time, each of which must come back.
pub(super) struct OpenExec {
    child: Child,
    pub(super) log: Log,
    sent: Arc<AtomicU64>,
    heard: Arc<AtomicU64>,
}

impl OpenExec {
    pub(super) fn start(host: &Host, instance: &str) -> Result<Self> {
        let mut command = Command::new(programs()?.join("hull"));
        host.prepared(&mut command).args(["exec", instance, "--", "cat"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (input, output) = (child.stdin.take().context("no input")?, child.stdout.take().context("no output")?);
        let exec = Self { child, log: Log::default(), sent: Arc::default(), heard: Arc::default() };
        let sent = exec.sent.clone();
        std::thread::spawn(move || feed(input, &sent));
        let (log, heard) = (exec.log.clone(), exec.heard.clone());
        std::thread::spawn(move || hear(BufReader::new(output), &log, &heard));
        until("the open exec answers", Duration::from_secs(20), || {
            (exec.heard.load(Ordering::Relaxed) > 0).then_some(())
        })?;
        Ok(exec)
    }

    /// What has been sent by now comes back.
    pub(super) fn check(&self) -> Result<()> {
        let sent = self.sent.load(Ordering::Relaxed);
        until("the open exec returns what was sent", Duration::from_secs(10), || {
            (self.heard.load(Ordering::Relaxed) >= sent).then_some(())
        })
    }
}

impl Drop for OpenExec {
    fn drop(&mut self) {
        self.log.taken();
        // It may have ended with its daemon.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn feed(mut input: impl Write, sent: &AtomicU64) {
    for number in 1u64.. {
        if writeln!(input, "{number}").and_then(|()| input.flush()).is_err() {
            return; // whether that is a failure is seen by who listens
        }
        sent.store(number, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn hear(output: impl BufRead, log: &Log, heard: &AtomicU64) {
    for (expected, line) in (1u64..).zip(output.lines()) {
        match line {
            Ok(line) if line == expected.to_string() => heard.store(expected, Ordering::Relaxed),
            Ok(line) => return log.failure(format!("the open exec returned `{line}` where {expected} belongs")),
            Err(_) => break,
        }
    }
    log.failure("the open exec has ended".into());
}
