//! The keeper's process: one poll loop over signals and the supervisor's socket.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hull_sys::message::packet_pair;
use hull_sys::process;
use hull_sys::schedule::take_short_turns;
use hull_sys::spawn::{c_string, spawn};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use super::notify::notify;
use super::store::Store;
use super::succession::{Action, Event, Phase, TRIAL, step};
use super::trim::trim;

/// The supervisor's end of the socket to its keeper.
pub const SUPERVISOR_FD: i32 = 3;
/// A supervisor that ran for so long crashed by chance, not by construction.
const STABLE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Exit codes with which a supervisor says that starting it again is no use.
const FINAL: [i32; 2] = [0, 78];
/// The exit code with which a supervisor leaves in favour of the program it has named (`EX_TEMPFAIL`).
pub const LEAVES: u8 = 75;
/// What a verdict's number means.
const TOOK_OVER: i32 = 1;
pub(super) const FELL_BACK: i32 = 2;
pub(super) const FELL_BACK_LATE: i32 = 3;
/// Programs are kept at descriptors out of the way of those that a child is given.
const PROGRAMS_FROM: i32 = 64;
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
    phase: Phase,
    programs: Programs,
    /// How the last supervisor ended, for the verdict about it.
    last_end: String,
    /// Whether the program in use has ever been ready.
    was_ready: bool,
}

/// Open executables, so that replacing the file on disk changes nothing of a running hulld.
struct Programs {
    current: OwnedFd,
    next: Option<OwnedFd>,
    previous: Option<OwnedFd>,
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
    let _ = take_short_turns(); // it works without, only later on a busy machine
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
    let own = std::fs::File::open("/proc/self/exe").map_err(|_| nix::errno::Errno::ENOEXEC)?;
    let mut keeper = Keeper {
        store: Store::reaping(),
        supervisor: None,
        quick_crashes: 0,
        restart_at: Some(Instant::now()),
        ending: None,
        phase: Phase::Settled,
        programs: Programs { current: out_of_the_way(&own)?, next: None, previous: None },
        last_end: String::new(),
        was_ready: false,
    };
    loop {
        keeper.advance(Event::Tick);
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
        match start(&self.programs.current) {
            Ok(supervisor) => self.supervisor = Some(supervisor),
            Err(error) => {
                self.last_end = format!("cannot be started: {error}");
                eprintln!("hulld: the supervisor {}", self.last_end);
                self.advance(Event::Ended);
            }
        }
    }

    fn wait(&self, signals: &SignalFd) -> nix::Result<()> {
        let mut set = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if let Some(supervisor) = &self.supervisor {
            let sending = if self.store.wants_to_send() { PollFlags::POLLOUT } else { PollFlags::empty() };
            set.push(PollFd::new(supervisor.socket.as_fd(), PollFlags::POLLIN | sending));
        }
        let due = [self.restart_at, self.phase.deadline()].into_iter().flatten().min();
        let pause = due.map(|at| at.saturating_duration_since(Instant::now()));
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
        if self.ending.is_some() {
            return Some(u8::from(code.is_none_or(|code| code != 0 && code != i32::from(LEAVES))));
        }
        if let Some(code) = code.filter(|code| FINAL.contains(code) && self.phase.lets_end(*code)) {
            return Some(u8::try_from(code).unwrap_or(1));
        }
        if self.last_end.is_empty() {
            self.last_end = crate::plugins::describe_status(status);
        }
        self.quick_crashes = if ran_for >= STABLE { 0 } else { self.quick_crashes.saturating_add(1) };
        let leaves = code == Some(i32::from(LEAVES)) && self.programs.next.is_some();
        if !leaves {
            eprintln!("hulld: the supervisor {}", self.last_end);
        }
        self.advance(if leaves { Event::Left } else { Event::Ended });
        None
    }

    fn advance(&mut self, event: Event) {
        let (phase, actions) = step(self.phase, event, Instant::now());
        self.phase = phase;
        for action in actions {
            self.act(*action);
        }
    }

    fn act(&mut self, action: Action) {
        let programs = &mut self.programs;
        match action {
            Action::Promote => {
                if let Some(next) = programs.next.take() {
                    programs.previous = Some(std::mem::replace(&mut programs.current, next));
                }
                self.was_ready = false;
                self.store.judge(None);
            }
            Action::FallBack => {
                if let Some(previous) = programs.previous.take() {
                    programs.current = previous;
                }
                eprintln!("hulld: the new supervisor {}; going back to the former program", self.last_end);
                let verdict = if self.was_ready { FELL_BACK_LATE } else { FELL_BACK };
                self.store.judge(Some((verdict, std::mem::take(&mut self.last_end))));
            }
            Action::ForgetPrevious => programs.previous = None,
            Action::ForgetNext => programs.next = None,
            Action::Approve => {
                self.was_ready = true;
                self.store.judge(Some((TOOK_OVER, String::new())));
            }
            Action::Start => {
                (self.quick_crashes, self.restart_at) = (0, Some(Instant::now()));
                self.last_end.clear();
            }
            Action::Restart => {
                self.pause();
                self.last_end.clear();
            }
            Action::Kill => self.kill_slow(),
        }
    }

    fn kill_slow(&mut self) {
        self.last_end = format!("was not ready within {TRIAL:?}");
        if let Some(supervisor) = &self.supervisor {
            let _ = kill(Pid::from_raw(supervisor.pid), Signal::SIGKILL); // it may have ended this moment
        }
    }

    /// At once after a crash out of the blue, later and later in a crash loop.
    fn pause(&mut self) {
        let doublings = self.quick_crashes.saturating_sub(1);
        let pause = if self.quick_crashes <= 1 { Duration::ZERO } else { FIRST_PAUSE * (1 << doublings.min(10)) };
        self.restart_at = Some(Instant::now() + pause.min(LONGEST_PAUSE));
    }

    fn talk(&mut self) {
        let Some(supervisor) = &self.supervisor else { return };
        let heard = self.store.listen(supervisor.socket.as_fd());
        self.store.flush(supervisor.socket.as_fd());
        let named = heard.next.filter(|_| !matches!(self.phase, Phase::Trying { .. }));
        if let Some(next) = named.and_then(|next| out_of_the_way(&next).ok()) {
            self.programs.next = Some(next);
            self.store.judge(None); // what is known is of another succession
            self.advance(Event::Named);
        }
        if heard.ready {
            notify("READY=1");
            self.advance(Event::Ready);
        }
    }
}

fn out_of_the_way(program: impl AsFd) -> nix::Result<OwnedFd> {
    hull_sys::descriptor::duplicate_from(program.as_fd(), PROGRAMS_FROM)
}

fn start(program: &OwnedFd) -> nix::Result<Supervisor> {
    let (ours, theirs) = packet_pair()?;
    let arguments = [c_string("hulld")?, c_string("--supervisor")?];
    let environment: Vec<CString> = std::env::vars_os()
        .filter(|(key, _)| key != "NOTIFY_SOCKET") // the keeper speaks to the service manager
        .filter_map(|(key, value)| c_string([key.into_vec(), value.into_vec()].join(&b'=')).ok())
        .collect();
    // Found through the child's own copy of the descriptor.
    let path = c_string(format!("/proc/self/fd/{}", program.as_raw_fd()))?;
    let pid = spawn(&path, &arguments, &environment, &[(SUPERVISOR_FD, theirs.as_fd())])?;
    Ok(Supervisor { pid: pid.as_raw(), socket: ours, since: Instant::now() })
}
