//! A private daemon of either side, with a pool, a bridge and the image, and its removal.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::client::{Body, Client};
use super::memory::{Footprint, footprint};
use crate::machine::{Daemon, check, unmount_below};

/// Whose daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Lxd,
    Hull,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lxd => "LXD",
            Self::Hull => "Hull",
        }
    }

    /// What a stop contains that is not the daemon's: the half second that Debian's lxcfs hook sleeps, if it is installed.
    pub(crate) fn stop_overhead(self) -> f64 {
        let hook = std::fs::read_to_string("/usr/share/lxcfs/lxc.reboot.hook").unwrap_or_default();
        if self == Self::Lxd && hook.contains("sleep 0.5") { 500.0 } else { 0.0 }
    }
}

/// A daemon and what it was started with.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    directory: PathBuf,
    /// Where Hull's programs are.
    built: PathBuf,
    daemon: Daemon,
    bridge: Option<String>,
}

const START: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(60);

impl Server {
    /// Starts a daemon in `directory` and waits for its first answer; how long that took, in ms.
    pub(crate) fn start(kind: Kind, directory: &Path, built: &Path) -> Result<(Self, f64)> {
        std::fs::create_dir_all(directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
        let (daemon, took) = launch(kind, directory, built)?;
        Ok((Self { kind, directory: directory.into(), built: built.into(), daemon, bridge: None }, took))
    }

    /// Ends the daemon, not its instances, and starts it again; from exec to its first answer, in ms.
    pub(crate) fn restart(&mut self) -> Result<f64> {
        self.daemon.end(Some(Signal::SIGTERM), END).with_context(|| format!("cannot restart {}", self.kind.name()))?;
        let (daemon, took) = launch(self.kind, &self.directory, &self.built)?;
        self.daemon = daemon;
        Ok(took)
    }

    pub(crate) fn connect(&self) -> Result<Client> {
        let socket = socket(&self.directory);
        Client::connect(&socket).with_context(|| format!("cannot connect to `{}`", socket.display()))
    }

    /// A dir pool, a bridge with DHCP, a profile that uses both, and `image` under the alias `busybox`.
    pub(crate) fn furnish(&mut self, image: &[u8]) -> Result<()> {
        let mut client = self.connect()?;
        post(&mut client, "/1.0/storage-pools", &json!({ "name": "default", "driver": "dir", "config": {} }))?;
        let bridge = self.make_bridge(&mut client)?;
        let devices = json!({
            "root": { "type": "disk", "path": "/", "pool": "default" },
            "eth0": { "type": "nic", "network": bridge, "name": "eth0" },
        });
        let profile = json!({ "description": "", "config": {}, "devices": devices });
        client.operation("PUT", "/1.0/profiles/default", Body::Json(&profile))?;
        let imported = client.operation("POST", "/1.0/images", Body::Bytes(image))?;
        let fingerprint = imported["fingerprint"].as_str().context("the import named no fingerprint")?;
        post(
            &mut client,
            "/1.0/images/aliases",
            &json!({ "name": "busybox", "description": "", "target": fingerprint }),
        )
    }

    /// On a subnet of its own: others on this machine may have theirs.
    fn make_bridge(&mut self, client: &mut Client) -> Result<String> {
        let seed = std::process::id() ^ (self.kind as u32).wrapping_mul(0x9e37);
        let mut problem = None;
        for attempt in 0..8u32 {
            let number = seed.wrapping_mul(31).wrapping_add(attempt.wrapping_mul(977)) % 50_000;
            let name = format!("hb{}{number}", if self.kind == Kind::Lxd { "l" } else { "h" });
            let address = format!("10.{}.{}.1/24", 100 + number / 256 % 100, number % 256);
            let config = json!({
                "ipv4.address": address, "ipv4.nat": "false", "ipv6.address": "none",
            });
            match post(client, "/1.0/networks", &json!({ "name": name, "type": "bridge", "config": config })) {
                Ok(()) => {
                    self.bridge = Some(name.clone());
                    return Ok(name);
                }
                Err(error) => problem = Some(error),
            }
        }
        Err(problem.unwrap_or_else(|| anyhow::anyhow!("no bridge was tried"))).context("cannot make a bridge")
    }

    pub(crate) fn pid(&self) -> i32 {
        self.daemon.pid().as_raw()
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn footprint(&self) -> Footprint {
        footprint(self.daemon.pid().as_raw(), &self.directory)
    }

    /// Takes everything away: instances, image, bridge, pool, daemon, directory. What could not be taken away.
    pub(crate) fn remove(mut self) -> Vec<String> {
        let mut left = Vec::new();
        if self.daemon.ended().is_none() {
            if let Err(error) = self.clear() {
                left.push(format!("{}: {error:#}", self.kind.name()));
            }
            if let Ok(mut client) = self.connect() {
                // The daemon may end before it has answered; whether it ended is seen below.
                let _ = client.raw("PUT", "/internal/shutdown", Body::Json(&json!({})));
            }
        }
        left.extend(self.daemon.end(None, END).err().map(|error| format!("{error:#}")));
        left.extend(unmount_below(&self.directory));
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            left.push(format!("cannot remove `{}`: {error}", self.directory.display()));
        }
        left
    }

    /// Stopped instances go with the directory; what is outside of it is removed through the API.
    fn clear(&self) -> Result<()> {
        let mut client = self.connect()?;
        let instances = client.get("/1.0/instances?recursion=1")?;
        for instance in instances.as_array().into_iter().flatten() {
            let name = instance["name"].as_str().unwrap_or_default();
            if instance["status"] == "Running" {
                stop(&mut client, name, Stop::Forced)?;
            }
            if self.bridge.is_some() && instance["profiles"] == json!(["default"]) {
                delete(&mut client, name)?;
            }
        }
        if let Some(bridge) = &self.bridge {
            let empty = json!({ "description": "", "config": {}, "devices": {} });
            client.operation("PUT", "/1.0/profiles/default", Body::Json(&empty))?;
            client.operation("DELETE", &format!("/1.0/networks/{bridge}"), Body::None)?;
        }
        Ok(())
    }
}

/// How an instance is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Clean,
    Forced,
}

/// From the image, on the default profile.
pub(crate) fn create(client: &mut Client, name: &str) -> Result<()> {
    let source = json!({ "type": "image", "alias": "busybox" });
    let body = json!({ "name": name, "type": "container", "profiles": ["default"], "source": source });
    post(client, "/1.0/instances", &body)
}

/// Without any content or NIC.
pub(crate) fn create_empty(client: &mut Client, name: &str) -> Result<()> {
    let devices = json!({ "root": { "type": "disk", "path": "/", "pool": "default" } });
    let body = json!({
        "name": name, "type": "container", "profiles": [], "devices": devices, "source": { "type": "none" },
    });
    post(client, "/1.0/instances", &body)
}

pub(crate) fn start(client: &mut Client, name: &str) -> Result<()> {
    change_state(client, name, &json!({ "action": "start", "timeout": 60 }))
}

pub(crate) fn stop(client: &mut Client, name: &str, how: Stop) -> Result<()> {
    change_state(client, name, &json!({ "action": "stop", "timeout": 60, "force": how == Stop::Forced }))
}

pub(crate) fn delete(client: &mut Client, name: &str) -> Result<()> {
    client.operation("DELETE", &format!("/1.0/instances/{name}"), Body::None).map(drop)
}

fn change_state(client: &mut Client, name: &str, body: &Value) -> Result<()> {
    client.operation("PUT", &format!("/1.0/instances/{name}/state"), Body::Json(body)).map(drop)
}

pub(crate) fn post(client: &mut Client, path: &str, body: &Value) -> Result<()> {
    client.operation("POST", path, Body::Json(body)).map(drop)
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("unix.socket")
}

fn launch(kind: Kind, directory: &Path, built: &Path) -> Result<(Daemon, f64)> {
    let path = directory.with_extension("log");
    let log = std::fs::File::options().create(true).append(true).open(&path);
    let log = log.with_context(|| format!("cannot write `{}`", path.display()))?;
    let mut command = match kind {
        Kind::Lxd => {
            let mut command = Command::new("lxd");
            command.args(["--group", "root"]).env("LXD_DIR", directory);
            command
        }
        Kind::Hull => {
            let mut command = Command::new(built.join("hulld"));
            command.env("HULL_DIR", directory);
            command
        }
    };
    command.stdin(Stdio::null()).stdout(log.try_clone().context("cannot share the log")?).stderr(log);
    let begun = Instant::now();
    let mut daemon = Daemon::start(&mut command)?;
    let socket = socket(directory);
    loop {
        if Client::connect(&socket).is_ok_and(|mut client| client.get("/1.0").is_ok()) {
            return Ok((daemon, begun.elapsed().as_secs_f64() * 1e3));
        }
        check()?;
        if let Some(status) = daemon.ended() {
            let said = std::fs::read_to_string(&path).unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(5).collect();
            bail!("{} ended while it started ({status}): {}", kind.name(), last.join(" / "));
        }
        if begun.elapsed() > START {
            bail!("{} gives no answer within {} s", kind.name(), START.as_secs());
        }
        std::thread::sleep(Duration::from_micros(200)); // between two looks, not instead of one
    }
}
