//! Every plugin is replaced again and again under load, and nobody notices.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hull_integration::{Host, Rest, Target, Websocket};
use serde_json::{Value, json};

const PLUGINS: [&str; 5] = ["storage-dir", "network-bridge", "instance-container", "image-file", "image-debian"];
const ROUNDS: usize = 10;
/// What the issue of a release promises on a quiet machine; printed. What is demanded here has room for noise.
const PROMISED: Duration = Duration::from_millis(150);
const DEMANDED: Duration = Duration::from_secs(1);

/// What the clients share.
struct Load {
    rest: Rest,
    stop: AtomicBool,
    requests: AtomicUsize,
    failures: Mutex<Vec<String>>,
    /// By kind of request: its usual time and its longest.
    times: Mutex<std::collections::BTreeMap<&'static str, Vec<Duration>>>,
}

impl Load {
    fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timed(&self, kind: &'static str, request: impl FnOnce() -> Result<()>) {
        let begin = Instant::now();
        let result = request();
        Self::locked(&self.times).entry(kind).or_default().push(begin.elapsed());
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = result {
            Self::locked(&self.failures).push(format!("{kind}: {error:#}"));
        }
    }

    fn running(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }
}

/// Copies of the plugins' programs, each a version of its own.
fn versions(folder: &Path) -> Result<PathBuf> {
    let programs = hull_integration::programs()?;
    let place = folder.join("new-versions");
    std::fs::create_dir(&place)?;
    for name in PLUGINS.iter().copied().chain(["hull-init"]) {
        std::fs::copy(programs.join(name), place.join(name))?;
    }
    Ok(place)
}

#[test]
fn upgrading_every_plugin_under_load_fails_no_request() -> Result<()> {
    let host = Host::with_network()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked(); // one process: there is no part to replace
    }
    let place = versions(host.folder())?;
    let web = host.running("web")?;
    web.address()?;
    let load = Arc::new(Load {
        rest: host.rest.clone(),
        stop: AtomicBool::new(false),
        requests: AtomicUsize::new(0),
        failures: Mutex::default(),
        times: Mutex::default(),
    });
    let image = host.rest.get("/1.0/images")?.metadata()?[0].as_str().context("an image")?.to_owned();
    let mut clients = Vec::new();
    for client in [lists, files, commands, instances] {
        let load = load.clone();
        clients.push(std::thread::spawn(move || {
            while load.running() {
                client(&load)
            }
        }));
    }
    let exports = load.clone();
    clients.push(std::thread::spawn(move || {
        while exports.running() {
            export(&exports, &image)
        }
    }));
    let echoes: Vec<_> = (0..2)
        .map(|_| {
            let (load, socket) = (load.clone(), host.socket());
            std::thread::spawn(move || echo(&load, &socket))
        })
        .collect();
    let console = {
        let (load, socket) = (load.clone(), host.socket());
        std::thread::spawn(move || console(&load, &socket))
    };

    let begin = Instant::now();
    let result = replace_all(&host, &place);
    load.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().ok().context("a client panicked")?;
    }
    let mut answered = 0;
    for echo in echoes {
        answered += echo.join().ok().context("an exec's client panicked")?.context("an interactive exec")?;
    }
    let seen = console.join().ok().context("the console's client panicked")?.context("the console")?;
    let took = begin.elapsed();
    result.with_context(|| host.log())?;
    report(&host, &load, (took, answered, seen))?;
    host.assert_nothing_leaked()
}

fn replace_all(host: &Host, place: &Path) -> Result<()> {
    for round in 0..ROUNDS {
        for plugin in PLUGINS {
            let url = format!("/1.0/plugins/{plugin}");
            // Each way in turn: to a version of its own, a fresh process of it, and back.
            let (verb, body) = match round % 4 {
                0 => ("upgrade", json!({"source": place})),
                1 => ("restart", json!({})),
                2 => ("rollback", json!({})),
                _ => ("upgrade", json!({})),
            };
            let answer = host.rest.post(&format!("{url}/{verb}"), &body)?;
            host.rest.wait(&answer).with_context(|| format!("{verb} of {plugin} in round {round}"))?;
        }
    }
    Ok(())
}

fn report(host: &Host, load: &Load, (took, answered, seen): (Duration, usize, usize)) -> Result<()> {
    let times = Load::locked(&load.times);
    let mut worst = Duration::ZERO;
    for (kind, times) in &*times {
        let mut sorted = times.clone();
        sorted.sort_unstable();
        let (median, longest) = (sorted[sorted.len() / 2], *sorted.last().context("a request")?);
        // A request that is slow by itself has not stalled.
        let stall = longest.saturating_sub(median);
        worst = worst.max(stall);
        eprintln!("{kind:9} {:6} requests, median {median:9.2?}, longest {longest:9.2?}", sorted.len());
    }
    let requests = load.requests.load(Ordering::Relaxed);
    let replaced = ROUNDS * PLUGINS.len();
    eprintln!("{replaced} replacements in {took:.1?}: {requests} requests, {answered} echoes, {seen} console lines");
    let word = if worst < PROMISED { "within" } else { "beyond" };
    eprintln!("longest stall {worst:.2?}, {word} {PROMISED:?}");
    let failures = Load::locked(&load.failures);
    ensure!(
        failures.is_empty(),
        "{} failed requests: {:#?}\n{}",
        failures.len(),
        &failures[..failures.len().min(5)],
        host.log()
    );
    ensure!(requests > 100 && answered > 20 && seen > 20, "there was no load");
    ensure!(worst < DEMANDED, "a request stalled for {worst:?}\n{}", host.log());
    for plugin in host.rest.get("/1.0/plugins?recursion=1")?.metadata()?.as_array().into_iter().flatten() {
        let failed = plugin["processes"].as_array().into_iter().flatten().any(|process| process["status"] == "Failed");
        ensure!(!failed, "{plugin}");
    }
    Ok(())
}

fn lists(load: &Load) {
    load.timed("list", || {
        let listed = load.rest.get("/1.0/instances?recursion=2")?.metadata()?;
        let web = listed.as_array().into_iter().flatten().find(|one| one["name"] == "web").context("`web` is gone")?;
        ensure!(web["state"]["status"] == "Running" && web["state"]["network"]["eth0"].is_object(), "{web}");
        Ok(())
    });
    load.timed("networks", || load.rest.get("/1.0/networks?recursion=1")?.metadata().map(drop));
    std::thread::sleep(Duration::from_millis(5)); // the machine has others
}

fn files(load: &Load) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let content = format!("{}\n", NUMBER.fetch_add(1, Ordering::Relaxed)).repeat(5000);
    let path = "/1.0/instances/web/files?path=/root/pushed";
    load.timed("push", || load.rest.request("POST", path, &[], content.as_bytes())?.metadata().map(drop));
    load.timed("pull", || {
        let pulled = load.rest.get(path)?;
        ensure!(pulled.status == 200 && pulled.body == content.as_bytes(), "{} bytes came back", pulled.body.len());
        Ok(())
    });
}

/// A command whose output and status must come back whole.
fn commands(load: &Load) {
    load.timed("exec", || {
        let body = json!({"command": ["sh", "-c", "exit 7"], "wait-for-websocket": false, "interactive": false});
        let ended = load.rest.wait(&load.rest.post("/1.0/instances/web/exec", &body)?)?;
        ensure!(ended["metadata"]["return"] == 7, "{ended}");
        Ok(())
    });
}

/// A whole life, with a network.
fn instances(load: &Load) {
    let url = "/1.0/instances/brief";
    let state = |action: &str| json!({"action": action, "force": true, "timeout": 30});
    let waited = |answer: hull_integration::Answer| load.rest.wait(&answer).map(drop);
    let body = json!({"name": "brief", "source": {"type": "image", "alias": "busybox"}});
    load.timed("create", || waited(load.rest.post("/1.0/instances", &body)?));
    load.timed("start", || waited(load.rest.put(&format!("{url}/state"), &state("start"))?));
    load.timed("stop", || waited(load.rest.put(&format!("{url}/state"), &state("stop"))?));
    load.timed("delete", || waited(load.rest.delete(url)?));
}

fn export(load: &Load, image: &str) {
    load.timed("export", || {
        let exported = load.rest.get(&format!("{image}/export"))?;
        ensure!(exported.status == 200 && exported.body.len() > 10_000, "{} bytes", exported.body.len());
        Ok(())
    });
    std::thread::sleep(Duration::from_millis(50)); // the machine has others
}

/// Types into one interactive shell for as long as the load lasts: each line must come back, and nothing else.
fn echo(load: &Load, socket: &Path) -> Result<usize> {
    let body = json!({"command": ["sh", "-c", "stty -echo; echo ready; while read line; do echo got-$line; done"],
        "wait-for-websocket": true, "interactive": true, "width": 80, "height": 24});
    let (mut websocket, _control) = attach(load, socket, "/1.0/instances/web/exec", &body)?;
    let mut received = String::new();
    until_line(&mut websocket, &mut received, "ready")?;
    let mut number = 0;
    while load.running() {
        number += 1;
        websocket.send(format!("{number}\n").as_bytes())?;
        let line = next_line(&mut websocket, &mut received)?;
        ensure!(line == format!("got-{number}"), "after {number}: {line:?}");
        std::thread::sleep(Duration::from_millis(10)); // as one who types
    }
    Ok(number)
}

/// Reads what a program in the container writes to the console: numbers without a gap.
fn console(load: &Load, socket: &Path) -> Result<usize> {
    let (mut websocket, _control) = attach(load, socket, "/1.0/instances/web/console", &json!({"type": "console"}))?;
    let writer = "i=0; while true; do i=$((i+1)); echo line-$i- > /dev/console; /bin/busybox usleep 20000; done";
    let body = json!({"command": ["sh", "-c", writer], "wait-for-websocket": false, "interactive": false});
    load.rest.post("/1.0/instances/web/exec", &body)?.metadata()?;
    let mut received = String::new();
    let mut seen = 0;
    while load.running() {
        let line = next_line(&mut websocket, &mut received)?;
        let Some(number) = line.strip_prefix("line-").and_then(|rest| rest.strip_suffix('-')) else { continue };
        seen += 1;
        ensure!(number.parse() == Ok(seen), "after {} came {line:?}", seen - 1);
    }
    Ok(seen)
}

/// Starts the operation and connects its data websocket; the other one only has to stay.
fn attach(load: &Load, socket: &Path, url: &str, body: &Value) -> Result<(Websocket, Websocket)> {
    let answer = load.rest.post(url, body)?;
    let operation = answer.metadata()?;
    let url = format!("/1.0/operations/{}/websocket", operation["id"].as_str().context("an id")?);
    let connect = |name: &str| {
        let secret = operation["metadata"]["fds"][name].as_str().context("a secret")?;
        Websocket::connect(socket, &format!("{url}?secret={secret}"))
    };
    Ok((connect("0")?, connect("control")?))
}

fn until_line(websocket: &mut Websocket, received: &mut String, wanted: &str) -> Result<()> {
    while next_line(websocket, received)? != wanted {}
    Ok(())
}

fn next_line(websocket: &mut Websocket, received: &mut String) -> Result<String> {
    loop {
        if let Some((line, rest)) = received.split_once('\n') {
            let (line, rest) = (line.trim_end().to_owned(), rest.to_owned());
            *received = rest;
            return Ok(line);
        }
        let data = websocket.receive()?.context("the websocket was closed")?;
        received.push_str(&String::from_utf8_lossy(&data));
    }
}
