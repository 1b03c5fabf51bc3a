//! hulld is replaced, or killed, while clients work: none of them notices. `HULL_TEST_CLIENTS=64` makes more of them,
//! and a push of at least two gigabytes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hull_integration::load::{Extent, assert_pushed, push};
use hull_integration::{Host, KeepAlive, Rest, Target, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// How often each part is replaced.
const ROUNDS: usize = 10;

/// What a client asks for in turn.
const KINDS: [&str; 7] = ["server", "list", "change", "exec", "pull", "profile", "state"];

/// What the clients of a story share: when to end, and how long anybody waited.
#[derive(Default)]
struct Traffic {
    over: AtomicBool,
    requests: AtomicU64,
    /// By kind of request.
    longest: Mutex<BTreeMap<&'static str, Duration>>,
}

impl Traffic {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    fn timed<T>(&self, kind: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        let result = work();
        let took = begun.elapsed();
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut longest = self.longest.lock().map_err(|_| anyhow::anyhow!("a client has panicked"))?;
        let longest = longest.entry(kind).or_default();
        *longest = took.max(*longest);
        result
    }

    fn longest(&self) -> BTreeMap<&'static str, Duration> {
        self.longest.lock().map(|longest| longest.clone()).unwrap_or_default()
    }

    /// Requests of every sort on one connection, until the end.
    fn client(&self, rest: &Rest, number: usize, pause: Duration) -> Result<()> {
        let mut connection = rest.keep_alive();
        let mut turn = number;
        while self.goes_on() {
            turn += 1;
            self.request(&mut connection, number, turn).with_context(|| format!("client {number}, turn {turn}"))?;
            std::thread::sleep(pause);
        }
        Ok(())
    }

    fn request(&self, connection: &mut KeepAlive, number: usize, turn: usize) -> Result<()> {
        let mut ask = |method: &str, path: &str, body: &[u8]| -> Result<Value> {
            let kind = KINDS[turn % KINDS.len()];
            self.timed(kind, || {
                let answer = connection.request(method, path, body)?;
                ensure!(
                    answer.status < 400,
                    "{method} {path}: {} {}",
                    answer.status,
                    String::from_utf8_lossy(&answer.body)
                );
                if path.contains("/files") { Ok(Value::Null) } else { answer.json() }
            })
        };
        match turn % KINDS.len() {
            0 => drop(ask("GET", "/1.0", b"")?),
            1 => {
                let all = ask("GET", "/1.0/instances?recursion=2", b"")?;
                let all = all["metadata"].as_array().context("a list")?;
                ensure!(all.iter().any(|one| one["name"] == "web" && one["status"] == "Running"), "{all:?}");
            }
            2 => {
                let config = json!({"config": {format!("user.client-{number}"): turn.to_string()}}).to_string();
                // Its own: two changes of one instance at a time are refused.
                ask("PATCH", &format!("/1.0/instances/own{number}"), config.as_bytes())?;
            }
            3 => {
                let command =
                    json!({"command": ["sh", "-c", "exit 3"], "wait-for-websocket": false, "interactive": false});
                let operation = ask("POST", "/1.0/instances/web/exec", command.to_string().as_bytes())?;
                let id = operation["operation"].as_str().context("an operation")?.to_owned();
                let ended = ask("GET", &format!("{id}/wait"), b"")?;
                ensure!(ended["metadata"]["metadata"]["return"] == 3, "{ended}");
            }
            4 => drop(ask("GET", "/1.0/instances/web/files?path=/etc/passwd", b"")?),
            5 => {
                let profile = json!({"name": format!("p{number}")}).to_string();
                ask("POST", "/1.0/profiles", profile.as_bytes())?;
                ask("DELETE", &format!("/1.0/profiles/p{number}"), b"")?;
            }
            _ => drop(ask("GET", "/1.0/instances/web/state", b"")?),
        }
        Ok(())
    }

    /// The image, again and again; its fingerprint tells whether every byte has come.
    fn export(&self, rest: &Rest, fingerprint: &str) -> Result<u64> {
        let mut whole = 0;
        while self.goes_on() {
            let answer = self.timed("export", || rest.get(&format!("/1.0/images/{fingerprint}/export")))?;
            ensure!(
                hull_integration::fingerprint(&answer.body) == fingerprint,
                "{} bytes of another image came: {}",
                answer.body.len(),
                answer.status
            );
            whole += 1;
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(whole)
    }
}

/// A command that echoes lines, started by the real client.
struct Echo {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Echo {
    fn start(host: &Host, terminal: &str) -> Result<Self> {
        let script =
            "stty -echo -onlcr 2>/dev/null; while read line; do echo \"<$line>\"; [ \"$line\" = end ] && exit 7; done";
        let mut child = host
            .command("lxc")
            .args(["exec", terminal, "web", "--", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (child.stdin.take().context("stdin")?, child.stdout.take().context("stdout")?);
        let mut echo = Self { child, input, output: BufReader::new(output) };
        // A line typed before the echo is off comes back twice.
        echo.say("first")?;
        while echo.hear()? != "<first>" {}
        Ok(echo)
    }

    fn say(&mut self, line: &str) -> Result<()> {
        Ok(self.input.write_all(format!("{line}\n").as_bytes())?)
    }

    fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("the command's output has ended");
        }
        Ok(line.trim_end().to_owned())
    }

    /// Says lines and hears them again, until the end; `pause` between them.
    fn run(mut self, traffic: &Traffic, pause: Duration) -> Result<()> {
        let mut number = 0;
        while traffic.goes_on() {
            number += 1;
            traffic.timed("echo", || {
                self.say(&number.to_string())?;
                let heard = self.hear()?;
                ensure!(heard == format!("<{number}>"), "said {number}, heard {heard}");
                Ok(())
            })?;
            std::thread::sleep(pause);
        }
        self.say("end")?;
        ensure!(self.hear()? == "<end>");
        let mut rest = String::new();
        self.output.read_to_string(&mut rest)?;
        ensure!(rest.trim().is_empty(), "more output: {rest:?}");
        ensure!(self.child.wait()?.code() == Some(7), "a wrong exit status after {number} lines");
        Ok(())
    }
}

#[test]
fn nobody_notices_that_hulld_is_replaced() -> Result<()> {
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked(); // it is updated by ending it
    }
    let web = host.running("web")?;
    let extent = Extent::of_environment(4);
    for number in 0..extent.clients {
        host.stopped(&format!("own{number}"))?;
    }
    let versions = [host.another_version("version-a")?, host.another_version("version-b")?];
    let traffic = Traffic::default();
    let socket = host.directory().join("unix.socket");
    let echoes: Vec<Echo> = (0..extent.echoes())
        .map(|number| Echo::start(&host, if number % 2 == 0 { "-T" } else { "-t" }))
        .collect::<Result<_>>()?;
    let image = host.rest.get("/1.0/images?recursion=1")?.metadata()?[0]["fingerprint"]
        .as_str()
        .context("an image")?
        .to_owned();
    let (mut stalls, mut pushed, mut exported) = (Vec::new(), 0, 0);
    let outcome: Result<()> = std::thread::scope(|scope| {
        let mut tasks: Vec<_> = (0..extent.clients)
            .map(|number| {
                scope.spawn({
                    let (traffic, rest) = (&traffic, host.rest.clone());
                    move || {
                        std::thread::sleep(extent.turn(number));
                        traffic.client(&rest, number, extent.pause)
                    }
                })
            })
            .collect();
        tasks.extend(echoes.into_iter().map(|echo| scope.spawn(|| echo.run(&traffic, extent.typing()))));
        let pushing = scope.spawn(|| push(&socket, "/tmp/big", extent.push, || !traffic.goes_on()));
        let export = scope.spawn(|| traffic.export(&host.rest, &image));
        let upgraded = (|| {
            for round in 0..ROUNDS {
                let from = versions[round % 2].display().to_string();
                for part in ["--supervisor", "--gateway"] {
                    let supervisor = host.supervisor();
                    let said =
                        host.hull(&["admin", "upgrade", part, "--from", &from])?.ok().with_context(|| host.log())?;
                    ensure!((host.supervisor() != supervisor) == (part == "--supervisor"), "{part}: {said}");
                    stalls.push(format!("{part}: {}", said.trim()));
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            Ok(())
        })();
        traffic.over.store(true, Ordering::Relaxed);
        let clients: Vec<_> = tasks.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        let (push, export) = (pushing.join(), export.join());
        upgraded?;
        for client in clients {
            client.map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        pushed = push.map_err(|_| anyhow::anyhow!("the push panicked"))??;
        exported = export.map_err(|_| anyhow::anyhow!("the export panicked"))??;
        Ok(())
    });
    outcome.with_context(|| host.log())?;
    eprintln!("{}", stalls.join("\n"));
    eprintln!(
        "{} clients and {} commands: {} requests, none failed; {} MiB pushed, {exported} images exported; the longest took {:?}",
        extent.clients,
        extent.echoes(),
        traffic.requests.load(Ordering::Relaxed),
        pushed >> 20,
        traffic.longest()
    );

    assert_pushed(&host.rest, "/tmp/big", pushed)?;
    until("retired gateways end", Duration::from_secs(10), || {
        (host.processes_named("hull-gateway").len() == 1).then_some(())
    })
    .with_context(|| format!("{:?}\n{}", host.processes_named("hull-gateway"), host.log()))?;
    assert_eq!(web.status()?, "Running");
    host.assert_nothing_leaked()
}

#[test]
fn a_successor_that_is_no_good_is_refused_or_taken_back() -> Result<()> {
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked();
    }
    let _web = host.running("web")?;
    let echo = Echo::start(&host, "-T")?;
    let traffic = Traffic::default();
    let from = host.another_version("broken")?;
    let hulld = from.join("hulld");
    let upgrade = || host.hull(&["admin", "upgrade", "--from", &from.display().to_string()]);
    let supervisor = host.supervisor();

    std::fs::remove_file(&hulld)?;
    for (program, why) in [(None, "No such file"), (Some("/bin/true"), "asked for its version, it says something else")]
    {
        if let Some(program) = program {
            std::fs::copy(program, &hulld)?;
        }
        let refused = upgrade()?;
        assert!(refused.status == 1 && refused.stderr.contains(why), "{refused:?}");
    }
    assert_eq!(host.supervisor(), supervisor, "the old one never left");

    std::thread::scope(|scope| -> Result<()> {
        let echoing = scope.spawn(|| echo.run(&traffic, Duration::ZERO));
        let tried = (|| {
            std::fs::remove_file(&hulld)?;
            std::fs::copy(env!("CARGO_BIN_EXE_broken-hulld"), &hulld)?;
            for (behaviour, why) in [
                ("ends", "exited with status 0"),
                ("fails", "exited with status 1"),
                ("hangs", "was not ready within 10s"),
            ] {
                std::fs::write(from.join("behaviour"), behaviour)?;
                let refused = upgrade()?;
                ensure!(
                    refused.status == 1 && refused.stderr.contains(why),
                    "{behaviour}: {refused:?}\n{}",
                    host.log()
                );
                ensure!(refused.stderr.contains("serves on"), "{behaviour}: {refused:?}");
                ensure!(host.rest.get("/1.0/instances/web")?.status == 200, "{behaviour}");
            }
            Ok(())
        })();
        traffic.over.store(true, Ordering::Relaxed);
        let echoed = echoing.join().map_err(|_| anyhow::anyhow!("the echo panicked"))?;
        tried?;
        echoed
    })?;

    // A gateway that is no good does not take the place of one that is.
    std::fs::remove_file(from.join("hull-gateway"))?;
    std::fs::copy("/bin/true", from.join("hull-gateway"))?;
    std::fs::remove_file(&hulld)?;
    std::fs::copy(host.another_version("good")?.join("hulld"), &hulld)?;
    let refused = host.hull(&["admin", "upgrade", "--gateway", "--from", &from.display().to_string()])?;
    assert!(refused.status == 1 && refused.stderr.contains("the gateway stays as it was"), "{refused:?}");
    host.assert_nothing_leaked()
}

/// `SIGKILL` to the supervisor: a command in an instance goes on, and its client learns how it ends.
#[test]
fn a_command_outlives_a_killed_supervisor() -> Result<()> {
    let host = Host::ready()?;
    if host.target() == Target::Lxd {
        return host.assert_nothing_leaked();
    }
    let _web = host.running("web")?;
    let script = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo $i; /bin/busybox usleep 10000; done; exit 5";
    let mut command = host.command("lxc");
    let child = command
        .args(["exec", "-T", "web", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()?;
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(500));
        let supervisor = host.supervisor().context("a supervisor")?;
        kill(Pid::from_raw(supervisor), Signal::SIGKILL)?;
        until("another supervisor", Duration::from_secs(10), || host.supervisor().filter(|pid| *pid != supervisor))?;
        assert_eq!(host.rest.get("/1.0/instances/web")?.status, 200);
    }
    let output = child.wait_with_output()?;
    let expected: String = (1..=300).map(|number| format!("{number}\n")).collect();
    assert_eq!(String::from_utf8(output.stdout)?, expected, "{}", host.log());
    assert_eq!(output.status.code(), Some(5), "{}", host.log());
    host.assert_nothing_leaked()
}
