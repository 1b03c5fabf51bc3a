//! Daemons and other things a task puts on this machine, and taking them off again whatever happens.

use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::Pid;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: i32) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From now on Ctrl-C and SIGTERM do not end this process: work stops at the next [`check`], and what was put up is
/// taken down on the way out.
pub(crate) fn catch_interrupts() -> Result<()> {
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        sys::install(signal, &action).with_context(|| format!("cannot catch {signal}"))?;
    }
    Ok(())
}

/// # Errors
/// Somebody pressed Ctrl-C.
pub(crate) fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}

/// Waits for a condition.
///
/// # Errors
/// It does not hold within `bound`, or the user interrupts.
pub(crate) fn wait_for(what: &str, bound: Duration, mut holds: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !holds() {
        check()?;
        if start.elapsed() > bound {
            bail!("waited {} s for {what}, in vain", bound.as_secs());
        }
        std::thread::sleep(Duration::from_millis(2)); // between two looks, not instead of one
    }
    Ok(())
}

/// A daemon of ours: asked to end, then made to, when dropped.
pub(crate) struct Daemon {
    child: Child,
    name: String,
}

impl Daemon {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        let name = command.get_program().to_string_lossy().into_owned();
        // A group of its own: Ctrl-C is for this process, which then ends the daemon in order.
        let child = command.process_group(0).spawn().with_context(|| format!("cannot start `{name}`"))?;
        Ok(Self { child, name })
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends `signal` and waits for the end; SIGKILL past `bound`.
    pub(crate) fn end(&mut self, signal: Option<Signal>, bound: Duration) -> Result<ExitStatus> {
        if let (None, Some(signal)) = (self.ended(), signal) {
            kill(self.pid(), signal).with_context(|| format!("cannot signal `{}`", self.name))?;
        }
        let start = Instant::now();
        while start.elapsed() < bound {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(5)); // between two looks, not instead of one
        }
        self.child.kill().with_context(|| format!("cannot kill `{}`", self.name))?;
        self.child.wait().with_context(|| format!("cannot wait for `{}`", self.name))?;
        bail!("`{}` did not end within {} s and was killed", self.name, bound.as_secs());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.ended().is_none()
            && let Err(error) = self.end(Some(Signal::SIGTERM), Duration::from_secs(20))
        {
            eprintln!("warning: {error:#}");
        }
    }
}

/// Unmounts everything below `folder`, deepest first: what a killed daemon left. The list of what could not be.
pub(crate) fn unmount_below(folder: &Path) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let targets = table.lines().filter_map(|line| line.split(' ').nth(1)).map(|path| path.replace("\\040", " "));
    let mut targets: Vec<String> = targets.filter(|path| Path::new(path).starts_with(folder)).collect();
    targets.sort_by_key(|path| std::cmp::Reverse(path.len()));
    let detach = |path: &String| nix::mount::umount2(path.as_str(), nix::mount::MntFlags::MNT_DETACH);
    targets.into_iter().filter_map(|path| detach(&path).err().map(|error| format!("{path}: {error}"))).collect()
}

#[allow(unsafe_code)]
mod sys {
    use super::{SigAction, Signal, sigaction};

    pub(super) fn install(signal: Signal, action: &SigAction) -> nix::Result<()> {
        // SAFETY: the only handler ever given stores to an atomic, which is all that it does.
        unsafe { sigaction(signal, action) }.map(drop)
    }
}
