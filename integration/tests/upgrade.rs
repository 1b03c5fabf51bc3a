//! Every plugin is replaced again and again under load, and nobody notices. `HULL_TEST_CLIENTS=64` makes it more load, and a
//! push of at least two gigabytes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hull_integration::load::{Extent, assert_pushed, push};
use hull_integration::{Host, Rest, Target, Websocket};
use serde_json::{Value, json};

const PLUGINS: [&str; 5] = ["storage-dir", "network-bridge", "instance-container", "image-file", "image-debian"];
/// So often each is upgraded; now and then it is restarted and rolled back, too.
const ROUNDS: usize = 10;
/// What holds on a quiet machine; printed. What is demanded, beyond what this machine shows without any replacement, has room for noise.
const PROMISED: Duration = Duration::from_millis(150);
const DEMANDED: Duration = Duration::from_secs(1);
/// How long the load runs before the first replacement.
const UNDISTURBED: Duration = Duration::from_secs(5);

/// Every kind of client once.
const FEW: usize = KINDS;
const KINDS: usize = 6;

/// What the clients share.
struct Load {
    rest: Rest,
    extent: Extent,
    stop: AtomicBool,
    requests: AtomicUsize,
    failures: Mutex<Vec<String>>,
    /// By kind of request.
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
        std::thread::sleep(self.extent.pause);
    }

    /// How much longer than usual the slowest request was; forgets all so far.
    fn worst_stall(&self) -> Duration {
        let times = std::mem::take(&mut *Self::locked(&self.times));
        let mut worst = Duration::ZERO;
        for (kind, mut times) in times {
            times.sort_unstable();
            let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
            worst = worst.max(longest.saturating_sub(median));
            eprintln!("{kind:9} {:6} requests, median {median:9.2?}, longest {longest:9.2?}", times.len());
        }
        worst
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
        extent: Extent::of_environment(FEW),
        stop: AtomicBool::new(false),
        requests: AtomicUsize::new(0),
        failures: Mutex::default(),
        times: Mutex::default(),
    });
    let image = host.rest.get("/1.0/images")?.metadata()?[0].as_str().context("an image")?.to_owned();
    let image = Arc::new(image);
    let small = |client| host.image(&format!("small-{client}"), b"small");
    let small = Arc::new((0..load.extent.clients).map(small).collect::<Result<Vec<_>>>()?);
    let kinds = (0..load.extent.clients).map(|number| {
        let (load, image, small) = (load.clone(), image.clone(), small.clone());
        std::thread::spawn(move || {
            std::thread::sleep(load.extent.turn(number));
            while load.running() {
                match number % KINDS {
                    0 => lists(&load),
                    1 => files(&load, number),
                    2 => commands(&load),
                    3 => instances(&load, number),
                    4 => images(&load, &small[number]),
                    _ => export(&load, &image),
                }
            }
        })
    });
    let clients: Vec<_> = kinds.collect();
    let echoes: Vec<_> = (0..load.extent.echoes())
        .map(|_| {
            let (load, socket) = (load.clone(), host.socket());
            std::thread::spawn(move || echo(&load, &socket))
        })
        .collect();
    let console = {
        let (load, socket) = (load.clone(), host.socket());
        std::thread::spawn(move || console(&load, &socket))
    };

    let pushing = {
        let (load, socket) = (load.clone(), host.socket());
        std::thread::spawn(move || push(&socket, "/tmp/big", load.extent.push, || !load.running()))
    };

    std::thread::sleep(UNDISTURBED);
    let usual = load.worst_stall();
    let begin = Instant::now();
    let result = replace_all(&host, &place);
    let took = begin.elapsed();
    load.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().ok().context("a client panicked")?;
    }
    let mut answered = 0;
    for echo in echoes {
        answered += echo.join().ok().context("an exec's client panicked")?.context("an interactive exec")?;
    }
    let seen = console.join().ok().context("the console's client panicked")?.context("the console")?;
    let pushed = pushing.join().ok().context("who pushes panicked")?.context("the push")?;
    result.with_context(|| host.log())?;
    eprintln!("{} MiB pushed", pushed >> 20);
    assert_pushed(&host.rest, "/tmp/big", pushed)?;
    report(&host, &load, usual, (took, answered, seen))?;
    host.assert_nothing_leaked()
}

#[test]
fn the_client_lists_replaces_and_revives_plugins() -> Result<()> {
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked();
    }
    let place = versions(host.folder())?;
    let _web = host.running("web")?;
    let rows = host.hull(&["plugin", "list", "-f", "csv"])?.ok()?;
    let row = |name: &str| rows.lines().find(|row| row.starts_with(name)).unwrap_or_default().to_owned();
    ensure!(row("storage-dir").starts_with("storage-dir,STORAGE,0.1.0,2,default,READY,"), "{rows}");
    let cells: Vec<String> = row("storage-dir").split(',').map(str::to_owned).collect();
    ensure!(cells.len() == 13 && cells.iter().all(|cell| !cell.is_empty()) && cells[12].ends_with("iB"), "{rows}");
    let few = host.hull(&["plugin", "list", "-c", "sn", "-f", "csv"])?.ok()?;
    ensure!(few.lines().any(|row| row == "READY,storage-dir"), "{few}");
    ensure!(row("instance-container").contains(",READY,"), "{rows}");
    let table = host.hull(&["plugin", "list"])?.ok()?;
    ensure!(table.contains(" NAME ") && table.contains(" RESTARTS |") && table.contains(" P99 "), "{table}");

    let info = || -> Result<String> { host.hull(&["plugin", "info", "storage-dir"])?.ok() };
    ensure!(info()?.contains("capability CHOWN") && !info()?.contains("plugins-installed"), "{}", info()?);
    let from = place.display().to_string();
    let said = host.hull(&["plugin", "upgrade", "storage-dir", "--from", &from])?.ok()?;
    ensure!(said.contains("Plugin storage-dir upgraded to version 0.1.0"), "{said}");
    ensure!(info()?.contains("plugins-installed/storage-dir/1/storage-dir"), "{}", info()?);
    host.hull(&["plugin", "rollback", "storage-dir"])?.ok()?;
    ensure!(!info()?.contains("plugins-installed"), "{}", info()?);

    for (line, words) in [
        (vec!["plugin", "restart", "none"], "no plugin `none` is installed"),
        (vec!["plugin", "rollback", "image-file"], "has no earlier version"),
        (vec!["plugin", "upgrade", "storage-dir", "--from", "/proc"], "cannot read `/proc/storage-dir`"),
    ] {
        let refused = host.hull(&line)?;
        ensure!(refused.status == 1 && refused.stderr.contains(words), "{line:?}: {refused:?}");
    }
    let mut events = Websocket::connect(&host.socket(), "/1.0/events?type=lifecycle")?;
    // A version that ends at once is refused, and the old one serves on in the same process.
    let useless = host.folder().join("useless");
    std::fs::create_dir(&useless)?;
    std::fs::copy("/bin/false", useless.join("storage-dir"))?;
    let serving = host.processes_named("storage-dir");
    let manifest = "name = \"storage-dir\"\nkind = \"storage\"\ndescription = \"None.\"\nversion = \"0.1.1\"\n\
                    contract = { oldest = 1, newest = 2 }\n";
    for (manifest, words) in [
        (None, "is missing: there is no `plugin.toml`, and the program holds none"),
        (
            Some(manifest.replace("newest = 2", "newest = 2000").replace("oldest = 1", "oldest = 1000")),
            "speaks contract versions 1000",
        ),
        (Some(manifest.to_owned()), "`storage-dir@default` was refused: it ended"),
    ] {
        manifest.map_or(Ok(()), |text| std::fs::write(useless.join("plugin.toml"), text))?;
        let refused = host.hull(&["plugin", "upgrade", "storage-dir", "--from", &useless.display().to_string()])?;
        ensure!(refused.status == 1 && refused.stderr.contains(words), "{refused:?}");
    }
    host.rest.get("/1.0/storage-pools/default/resources")?.metadata()?;
    ensure!(host.processes_named("storage-dir") == serving, "another process serves");

    // Out of service, and back by a word.
    let broken = host.processes_named("storage-dir");
    ensure!(broken.len() == 1, "{broken:?}");
    for _ in 0..5 {
        for pid in host.processes_named("storage-dir") {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)?;
        }
        let again = || host.rest.get("/1.0/storage-pools/default/resources").ok().filter(|answer| answer.status == 200);
        if hull_integration::until("it is back", Duration::from_secs(5), again).is_err() {
            break;
        }
    }
    ensure!(host.hull(&["plugin", "list", "-f", "csv"])?.ok()?.contains(",FAILED,"), "{}", host.log());
    ensure!(host.hull(&["plugin", "info", "storage-dir"])?.ok()?.contains("SIGKILL"), "it says how it ended");
    for (action, times) in [("plugin-ended", 5), ("plugin-failed", 1)] {
        for _ in 0..times {
            let event = next_event(&mut events, action)?;
            ensure!(event["source"] == "/1.0/plugins/storage-dir", "{event}");
            ensure!(event["context"]["process"] == "storage-dir@default", "{event}");
            ensure!(event["context"]["reason"].as_str().is_some_and(|why| why.contains("SIGKILL")), "{event}");
        }
    }
    host.hull(&["plugin", "restart", "storage-dir"])?.ok()?;
    host.rest.get("/1.0/storage-pools/default/resources")?.metadata()?;
    let event = next_event(&mut events, "plugin-restarted")?;
    ensure!(event["source"] == "/1.0/plugins/storage-dir", "{event}");
    let metrics = String::from_utf8(host.rest.get("/1.0/metrics")?.body)?;
    let info =
        metrics.lines().find(|line| line.starts_with("hull_plugin_info{") && line.contains("storage-dir@default"));
    let info = info.context("no hull_plugin_info")?;
    ensure!(info.contains("contract=\"2\"") && info.contains("version=\"0.1.0\"") && info.contains("pid=\""), "{info}");
    ensure!(metrics.contains("hull_plugin_start_time_seconds{plugin=\"storage-dir@default\"}"), "{metrics}");
    host.assert_nothing_leaked()
}

/// The next event with this action; others are passed over.
fn next_event(events: &mut Websocket, action: &str) -> Result<Value> {
    loop {
        let event: Value = serde_json::from_slice(&events.receive()?.context("the events have ended")?)?;
        if event["metadata"]["action"] == action {
            return Ok(event["metadata"].clone());
        }
    }
}

fn replace_all(host: &Host, place: &Path) -> Result<()> {
    for round in 0..ROUNDS {
        for plugin in PLUGINS {
            let replace = |verb: &str, body: Value| -> Result<()> {
                let answer = host.rest.post(&format!("/1.0/plugins/{plugin}/{verb}"), &body)?;
                host.rest.wait(&answer).with_context(|| format!("{verb} of {plugin} in round {round}"))?;
                Ok(())
            };
            // To a version of its own, and to what Hull comes with.
            match round % 2 {
                0 => replace("upgrade", json!({"source": place}))?,
                _ => replace("upgrade", json!({}))?,
            }
            match round % 5 {
                2 => replace("restart", json!({}))?,
                4 => replace("rollback", json!({}))?,
                _ => {}
            }
        }
    }
    Ok(())
}

fn report(host: &Host, load: &Load, usual: Duration, (took, answered, seen): (Duration, usize, usize)) -> Result<()> {
    let worst = load.worst_stall();
    let requests = load.requests.load(Ordering::Relaxed);
    let upgrades = ROUNDS * PLUGINS.len();
    eprintln!(
        "{upgrades} upgrades, and some restarts and ways back, in {took:.1?}: {requests} requests, {answered} echoes, {seen} console lines"
    );
    let word = if worst < PROMISED { "within" } else { "beyond" };
    eprintln!("longest stall {worst:.2?}, {word} {PROMISED:?}; without any replacement {usual:.2?}");
    let plugins = host.rest.get("/1.0/plugins?recursion=1")?.metadata()?;
    for process in plugins.as_array().into_iter().flatten().flat_map(|one| one["processes"].as_array()).flatten() {
        eprintln!(
            "{}: calls were held for {:.1} ms at most",
            process["name"],
            process["longest_hold"].as_f64().unwrap_or(0.0)
        );
    }
    let failures = Load::locked(&load.failures);
    ensure!(
        failures.is_empty(),
        "{} failed requests: {:#?}\n{}",
        failures.len(),
        &failures[..failures.len().min(5)],
        host.log()
    );
    ensure!(requests > 100 && answered > 20 && seen > 20, "there was no load");
    ensure!(worst < DEMANDED + 2 * usual, "a request stalled for {worst:?}\n{}", host.log());
    for plugin in plugins.as_array().into_iter().flatten() {
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

fn files(load: &Load, client: usize) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let content = format!("{}\n", NUMBER.fetch_add(1, Ordering::Relaxed)).repeat(5000);
    let path = format!("/1.0/instances/web/files?path=/root/pushed-{client}");
    load.timed("push", || load.rest.request("POST", &path, &[], content.as_bytes())?.metadata().map(drop));
    load.timed("pull", || {
        let pulled = load.rest.get(&path)?;
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
fn instances(load: &Load, client: usize) {
    let name = format!("brief-{client}");
    let url = format!("/1.0/instances/{name}");
    let state = |action: &str| json!({"action": action, "force": true, "timeout": 30});
    let waited = |answer: hull_integration::Answer| load.rest.wait(&answer).map(drop);
    let body = json!({"name": name, "source": {"type": "image", "alias": "busybox"}});
    load.timed("create", || waited(load.rest.post("/1.0/instances", &body)?));
    load.timed("start", || waited(load.rest.put(&format!("{url}/state"), &state("start"))?));
    load.timed("stop", || waited(load.rest.put(&format!("{url}/state"), &state("stop"))?));
    load.timed("delete", || waited(load.rest.delete(&url)?));
}

/// What is uploaded is read by one plugin's process, and deleted again.
fn images(load: &Load, content: &[u8]) {
    load.timed("image", || {
        let headers = [("Content-Type", "application/octet-stream")];
        let made = load.rest.wait(&load.rest.request("POST", "/1.0/images", &headers, content)?)?;
        let fingerprint = made["metadata"]["fingerprint"].as_str().context("a fingerprint")?;
        load.rest.wait(&load.rest.delete(&format!("/1.0/images/{fingerprint}"))?).map(drop)
    });
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
        std::thread::sleep(load.extent.typing().max(Duration::from_millis(10)));
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
