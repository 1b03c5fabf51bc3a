//! The keeper's process: one poll loop over signals and the supervisor's socket.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hull_sys::message::packet_pair;
use hull_sys::process;
use hull_sys::spawn::{c_string, spawn};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use super::notify::notify;
use super::store::{Heard, Store};
use super::trim::trim;

/// The supervisor's end of the socket to its keeper.
pub const SUPERVISOR_FD: i32 = 3;
/// A supervisor that ran for so long crashed by chance, not by construction.
const STABLE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Exit codes with which a supervisor says that starting it again is no use.
const FINAL: [i32; 2] = [0, 78];
/// What [`Store::ask_to_end`] says: keep the instances, or stop them.
pub(super) const DAEMON_ONLY: i32 = 1;
pub(super) const INSTANCES_TOO: i32 = 2;

struct Keeper {
    store: Store,
    supervisor: Option<Supervisor>,
    quick_crashes: u32,
    restart_at: Option<Instant>,
    /// What an end was asked for; the second wish is an order.
    ending: Option<i32>,
}

struct Supervisor {
    pid: i32,
    socket: OwnedFd,
    since: Instant,
}

/// Runs until it is asked to end.
pub fn main() -> ExitCode {
    match keep() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("hulld: the keeper cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn keep() -> nix::Result<u8> {
    process::become_subreaper()?;
    // Keeper and supervisor hold descriptors for every instance there is.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    if let Err(why) = trim() {
        eprintln!("hulld: {why}");
    }
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGPWR, Signal::SIGCHLD, Signal::SIGHUP] {
        signals.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&signals), None)?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let (store, restart_at) = (Store::reaping(), Some(Instant::now()));
    let mut keeper = Keeper { store, supervisor: None, quick_crashes: 0, restart_at, ending: None };
    loop {
        keeper.start_if_due();
        keeper.wait(&signals)?;
        while let Some(signal) = signals.read_signal()? {
            let signal = i32::try_from(signal.ssi_signo).unwrap_or(0);
            if let Some(code) = keeper.signalled(signal) {
                return Ok(code);
            }
        }
        if let Some(code) = keeper.bury() {
            return Ok(code);
        }
        keeper.talk();
    }
}

impl Keeper {
    fn start_if_due(&mut self) {
        if self.supervisor.is_some() || self.restart_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        self.restart_at = None;
        match start() {
            Ok(supervisor) => self.supervisor = Some(supervisor),
            Err(error) => {
                eprintln!("hulld: cannot start the supervisor: {error}");
                self.pause();
            }
        }
    }

    fn wait(&self, signals: &SignalFd) -> nix::Result<()> {
        let mut set = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if let Some(supervisor) = &self.supervisor {
            let sending = if self.store.wants_to_send() { PollFlags::POLLOUT } else { PollFlags::empty() };
            set.push(PollFd::new(supervisor.socket.as_fd(), PollFlags::POLLIN | sending));
        }
        let pause = self.restart_at.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = match pause {
            // Rounded up: waking early would only mean another round.
            Some(pause) => PollTimeout::try_from(pause + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        };
        match poll(&mut set, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The code to end with, if this signal ends the keeper.
    fn signalled(&mut self, signal: i32) -> Option<u8> {
        let how = match signal {
            libc::SIGTERM | libc::SIGINT => DAEMON_ONLY,
            libc::SIGPWR => INSTANCES_TOO,
            _ => return None, // SIGCHLD: every round looks for the dead
        };
        let Some(supervisor) = &self.supervisor else { return Some(0) };
        if self.ending.replace(how) == Some(how) {
            // Asked twice: at once. Its plugins follow when their sockets close.
            let _ = kill(Pid::from_raw(supervisor.pid), Signal::SIGKILL);
            return Some(0);
        }
        notify("STOPPING=1");
        self.store.ask_to_end(how);
        None
    }

    fn bury(&mut self) -> Option<u8> {
        for dead in self.store.reap() {
            match &self.supervisor {
                Some(supervisor) if supervisor.pid == dead.pid => {
                    if let Some(code) = self.supervisor_ended(dead.status) {
                        return Some(code);
                    }
                }
                _ => self.store.tell(&dead),
            }
        }
        None
    }

    fn supervisor_ended(&mut self, status: i32) -> Option<u8> {
        let ran_for = self.supervisor.take().map_or(Duration::ZERO, |supervisor| supervisor.since.elapsed());
        self.store.forget_outgoing();
        let code = (libc::WIFEXITED(status)).then(|| libc::WEXITSTATUS(status));
        if let Some(code) = code.filter(|code| FINAL.contains(code)) {
            return Some(u8::try_from(code).unwrap_or(1));
        }
        if self.ending.is_some() {
            return Some(1);
        }
        eprintln!("hulld: the supervisor {}; starting it again", crate::plugins::describe_status(status));
        self.quick_crashes = if ran_for >= STABLE { 0 } else { self.quick_crashes.saturating_add(1) };
        self.pause();
        None
    }

    /// At once after a crash out of the blue, later and later in a crash loop.
    fn pause(&mut self) {
        let doublings = self.quick_crashes.saturating_sub(1);
        let pause = if self.quick_crashes <= 1 { Duration::ZERO } else { FIRST_PAUSE * (1 << doublings.min(10)) };
        self.restart_at = Some(Instant::now() + pause.min(LONGEST_PAUSE));
    }

    fn talk(&mut self) {
        let Some(supervisor) = &self.supervisor else { return };
        if self.store.listen(supervisor.socket.as_fd()) == Heard::Ready {
            notify("READY=1");
        }
        self.store.flush(supervisor.socket.as_fd());
    }
}

fn start() -> nix::Result<Supervisor> {
    let (ours, theirs) = packet_pair()?;
    let arguments = [c_string("hulld")?, c_string("--supervisor")?];
    let environment: Vec<CString> = std::env::vars_os()
        .filter(|(key, _)| key != "NOTIFY_SOCKET") // the keeper speaks to the service manager
        .filter_map(|(key, value)| c_string([key.into_vec(), value.into_vec()].join(&b'=')).ok())
        .collect();
    let pid = spawn(c"/proc/self/exe", &arguments, &environment, &[(SUPERVISOR_FD, theirs.as_fd())])?;
    Ok(Supervisor { pid: pid.as_raw(), socket: ours, since: Instant::now() })
}
