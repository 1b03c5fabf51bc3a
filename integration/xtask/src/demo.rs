//! `cargo xtask demo`: the main job, on a Hull of its own, leaving the machine as it was.
//!
//! The Hull lives in `~/.cache/hull/demo`: its image cache stays between runs, everything else goes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::machine::{Daemon, catch_interrupts, check, unmount_below, wait_for};
use crate::setup;
use crate::workspace::{build_release, cache, output, say, succeed};

/// Build Hull, launch a Debian container on it, look into it, and take everything down again
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// The image
    #[arg(long, default_value = "debian:bookworm")]
    image: String,
    /// Also drop the images kept for the next run
    #[arg(long)]
    purge: bool,
    /// Take the programs from this folder instead of building them
    #[arg(long)]
    built: Option<PathBuf>,
}

const INSTANCE: &str = "demo";
const READY: Duration = Duration::from_secs(60);
const BOOTED: Duration = Duration::from_secs(120);

pub(crate) fn run(demo: &Demo) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("the demo makes containers and a bridge: run it as root");
    }
    setup::for_running()?;
    let built = match &demo.built {
        Some(folder) => folder.clone(),
        None => build_release()?,
    };
    catch_interrupts()?;
    let hull = Hull::start(&built)?;
    let played = hull.play(demo);
    if let Err(error) = &played {
        eprintln!("the demo failed, taking it down: {error:#}");
    }
    let left = hull.take_down(demo.purge);
    played?;
    if !left.is_empty() {
        bail!("the demo could not take everything down:\n  {}", left.join("\n  "));
    }
    say("done; this machine is as it was");
    Ok(())
}

/// A hulld of the demo's own.
struct Hull {
    daemon: Daemon,
    built: PathBuf,
    directory: PathBuf,
}

impl Hull {
    fn start(built: &Path) -> Result<Self> {
        let directory = cache()?.join("demo");
        std::fs::create_dir_all(&directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
        say(&format!("starting hulld in `{}`", directory.display()));
        let log_path = directory.join("hulld.log");
        let log = std::fs::File::create(&log_path).with_context(|| format!("cannot make `{}`", log_path.display()))?;
        let mut command = Command::new(built.join("hulld"));
        command.env("HULL_DIR", &directory).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let hull = Self { daemon: Daemon::start(&mut command)?, built: built.into(), directory };
        let ready = hull.client(&["admin", "waitready", "--timeout", &READY.as_secs().to_string()]);
        ready.with_context(|| format!("hulld does not become ready; `{}` says why", log_path.display()))?;
        hull.forget_last_run()?;
        Ok(hull)
    }

    fn play(&self, demo: &Demo) -> Result<()> {
        self.shown(&["admin", "init", "--auto"])?;
        self.shown(&["launch", &demo.image, INSTANCE])?;
        say("waiting for systemd and an address");
        wait_for("systemd in the container", BOOTED, || self.is_booted())?;
        wait_for("a DHCP address", BOOTED, || self.address().is_some())?;
        self.shown(&[
            "exec",
            INSTANCE,
            "--",
            "sh",
            "-c",
            "echo \"$(hostname): $(. /etc/os-release; echo $PRETTY_NAME)\"; ip -4 -brief address",
        ])?;
        self.shown(&["list"])?;
        self.shown(&["stop", INSTANCE])?;
        self.shown(&["delete", INSTANCE])
    }

    /// `running`, or `degraded`: all units have been started or have failed.
    fn is_booted(&self) -> bool {
        let mut command = self.command(&["exec", INSTANCE, "--", "systemctl", "is-system-running", "--wait"]);
        let answer = command.stderr(Stdio::null()).output();
        answer.is_ok_and(|output| matches!(output.stdout.trim_ascii(), b"running" | b"degraded"))
    }

    fn address(&self) -> Option<String> {
        let state = self.client(&["query", &format!("/1.0/instances/{INSTANCE}/state")]).ok()?;
        let state: serde_json::Value = serde_json::from_str(&state).ok()?;
        let addresses = state.pointer("/network/eth0/addresses")?.as_array()?;
        let is_wanted = |one: &&serde_json::Value| one["family"] == "inet" && one["scope"] == "global";
        addresses.iter().find(is_wanted)?["address"].as_str().map(str::to_owned)
    }

    /// A run that was killed may have left its instance, network and pool.
    fn forget_last_run(&self) -> Result<()> {
        let left = self.remove_all();
        if !left.is_empty() {
            bail!("the last demo left things that cannot be removed:\n  {}", left.join("\n  "));
        }
        Ok(())
    }

    /// Removes what `init` and `launch` made; what could not be removed. What is not there is no failure.
    fn remove_all(&self) -> Vec<String> {
        let mut left = Vec::new();
        left.extend(self.remove("/1.0/instances", &["delete", "--force"], INSTANCE));
        // The default profile is never deleted, only emptied: it holds the network and the pool.
        let profile = self.client(&["query", "/1.0/profiles/default"]).unwrap_or_default();
        let profile: serde_json::Value = serde_json::from_str(&profile).unwrap_or_default();
        for device in profile["devices"].as_object().into_iter().flat_map(|devices| devices.keys()) {
            let removed = self.client(&["profile", "device", "remove", "default", device]);
            left.extend(removed.err().map(|error| format!("{error:#}")));
        }
        left.extend(self.remove("/1.0/networks", &["network", "delete"], "hullbr0"));
        left.extend(self.remove("/1.0/storage-pools", &["storage", "delete"], "default"));
        left
    }

    /// Removes `name` if the collection has it.
    fn remove(&self, collection: &str, verb: &[&str], name: &str) -> Option<String> {
        let listed = self.client(&["query", collection]);
        if !listed.is_ok_and(|text| text.contains(&format!("/{name}\""))) {
            return None;
        }
        self.client(&[verb, &[name]].concat()).err().map(|error| format!("{error:#}"))
    }

    fn take_down(mut self, purge: bool) -> Vec<String> {
        let mut left = self.remove_all();
        if self.client(&["admin", "shutdown", "--timeout", "30"]).is_err() && self.daemon.ended().is_none() {
            left.push("hulld did not shut down when asked to".into());
        }
        let ended = self.daemon.end(None, Duration::from_secs(30));
        if ended.is_err() && self.daemon.ended().is_none() {
            // The last word; its error is reported below.
            let _ = self.daemon.end(Some(Signal::SIGKILL), Duration::from_secs(5));
        }
        left.extend(ended.err().map(|error| format!("{error:#}")));
        left.extend(unmount_below(&self.directory));
        if purge && let Err(error) = std::fs::remove_dir_all(&self.directory) {
            left.push(format!("cannot remove `{}`: {error}", self.directory.display()));
        }
        left
    }

    /// Runs the client for the user to see.
    fn shown(&self, arguments: &[&str]) -> Result<()> {
        check()?;
        say(&format!("hull {}", arguments.join(" ")));
        succeed(&mut self.command(arguments))
    }

    fn client(&self, arguments: &[&str]) -> Result<String> {
        output(&mut self.command(arguments))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.built.join("hull"));
        // Not the user's own remotes and defaults.
        command.args(arguments).env("HULL_DIR", &self.directory).env("HULL_CONF", self.directory.join("client"));
        command.env_remove("HULL_SOCKET").env_remove("HULL_PROJECT");
        command
    }
}
