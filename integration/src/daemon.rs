//! A daemon of the story's own: hulld, or real LXD.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::until;

/// Whom the stories are told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Hull,
    Lxd,
}

impl Target {
    /// `HULL_TEST_TARGET`, Hull unless it says `lxd`.
    pub fn of_environment() -> Self {
        match std::env::var("HULL_TEST_TARGET").as_deref() {
            Ok("lxd") => Self::Lxd,
            _ => Self::Hull,
        }
    }
}

/// Where this build's programs are.
pub fn programs() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("HULL_TEST_PROGRAMS") {
        return Ok(path.into());
    }
    // A test runs from target/PROFILE/deps.
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent).context("the test has no target directory")?;
    Ok(folder.to_owned())
}

/// What a daemon is started with beyond its directory.
#[derive(Debug, Default)]
pub struct Settings {
    pub environment: Vec<(String, PathBuf)>,
    /// Where its programs are, if not where this build has put them.
    pub programs: Option<PathBuf>,
}

pub(crate) struct Daemon {
    pub(crate) target: Target,
    directory: PathBuf,
    child: Option<Child>,
    pub(crate) environment: Vec<(String, PathBuf)>,
    /// Where its programs are.
    pub(crate) programs: PathBuf,
    /// A file that stands over the kernel's boot id for this daemon: the host seems to have been restarted.
    pub(crate) boot_id: Option<PathBuf>,
}

impl Daemon {
    pub(crate) fn start(target: Target, directory: &Path, settings: Settings) -> Result<Self> {
        let Settings { environment, programs: given } = settings;
        let (directory, programs) = (directory.to_owned(), given.map_or_else(programs, Ok)?);
        let mut daemon = Self { target, directory, child: None, environment, programs, boot_id: None };
        daemon.spawn()?;
        Ok(daemon)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("unix.socket")
    }

    pub(crate) fn pid(&self) -> Option<i32> {
        self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok())
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) fn spawn(&mut self) -> Result<()> {
        let log = std::fs::File::options().create(true).append(true).open(self.log_file())?;
        let mut command = match self.target {
            Target::Hull => {
                let mut command = self.hulld()?;
                command.env("HULL_DIR", &self.directory).envs(self.environment.clone());
                command
            }
            Target::Lxd => {
                let mut command = Command::new("lxd");
                command.args(["--group", "root"]).env("LXD_DIR", &self.directory);
                command
            }
        };
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        self.child = Some(child.context("cannot start the daemon (built? `cargo build --workspace`)")?);
        let (rest, started) = (crate::Rest::new(self.socket()), Instant::now());
        until("the daemon answers", Duration::from_secs(30), || {
            rest.get("/1.0").ok().filter(|answer| answer.status == 200)
        })
        .with_context(|| self.log())?;
        // With whatever is missing, full or broken: to be read in the output of a story.
        eprintln!("the daemon answers after {:.0?}", started.elapsed());
        Ok(())
    }

    fn hulld(&self) -> Result<Command> {
        let program = self.programs.join("hulld");
        let Some(boot_id) = &self.boot_id else { return Ok(Command::new(program)) };
        // In a mount namespace of its own, and with the same process number from beginning to end.
        let mut command = Command::new("unshare");
        let script = "mount --bind \"$1\" /proc/sys/kernel/random/boot_id && exec \"$2\"";
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(boot_id).arg(program);
        Ok(command)
    }

    /// Ends the keeper as a power failure would; the others are the caller's.
    pub(crate) fn cut(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Ends the daemon, not what it runs.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
        let ended = until("the daemon ends on SIGTERM", Duration::from_secs(20), || child.try_wait().ok().flatten());
        if ended.is_err() {
            child.kill()?;
            child.wait()?;
        }
        ended.map(drop)
    }

    /// Beside its directory, which a story may fill or take away.
    fn log_file(&self) -> PathBuf {
        self.directory.with_extension("log")
    }

    /// The end of its log, for a failed story.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("the story's daemon: {error}");
        }
    }
}
