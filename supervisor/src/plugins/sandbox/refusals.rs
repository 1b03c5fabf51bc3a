//! What a sandbox's filter tells hulld: every system call it refuses is named in the log, with who tried it.
//!
//! The kernel stops the caller and asks; hulld answers `EPERM`. A process that goes on trying is answered ever more
//! slowly, so that it spends its own time and not hulld's. With `HULL_RECORD_SYSTEM_CALLS` the filter asks about what it
//! *allows* instead, and the names are written down: that is how a manifest's unused grants are found.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use libseccomp::{ScmpNotifReq, ScmpNotifResp, ScmpNotifRespFlags};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::Interest;

use super::plan::{Heard, Plan};
use crate::plugins::process::printable;

/// A directory: filters tell what is used, instead of what is refused.
const RECORD: &str = "HULL_RECORD_SYSTEM_CALLS";
/// How long a call that was logged stays unmentioned.
const SILENCE: Duration = Duration::from_secs(60);
/// How many refusals a second are answered at once.
const PATIENCE: u32 = 100;
/// How long each further one has to wait.
const PAUSE: Duration = Duration::from_millis(10);

/// The listening end of one sandbox's filter.
pub(crate) struct Refusals {
    name: String,
    listener: OwnedFd,
    heard: Heard,
    granted: Vec<String>,
}

impl Refusals {
    pub(super) fn new(plan: &Plan, listener: OwnedFd) -> Self {
        let (name, heard, granted) = (plan.name.clone(), plan.heard.clone(), plan.system_calls.clone());
        Self { name, listener, heard, granted }
    }

    /// A service's, found again by a new supervisor.
    pub(crate) fn again(name: &str, listener: OwnedFd) -> Self {
        Self { name: name.replace('/', "."), listener, heard: Heard::asked_for(), granted: Vec::new() }
    }

    pub(crate) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Answers until the last process with this filter has ended.
    pub(crate) async fn follow(self) {
        let Self { name, listener, heard, granted } = self;
        let result = match heard {
            Heard::Refused => refuse(&name, listener).await,
            Heard::Used(folder) => record(&folder, &name, &granted, listener).await,
        };
        if let Err(error) = result {
            tracing::warn!(plugin = %name, %error, "its refused system calls are not logged any more");
        }
    }
}

impl Heard {
    /// What whoever started hulld wants to hear.
    pub(super) fn asked_for() -> Self {
        std::env::var_os(RECORD).map_or(Self::Refused, |folder| Self::Used(folder.into()))
    }
}

async fn refuse(name: &str, listener: OwnedFd) -> io::Result<()> {
    let listener = crate::sys::watch(listener, Interest::READABLE)?;
    let mut ledger = Ledger::default();
    while let Some(request) = listener.async_io(Interest::READABLE, next).await? {
        let Some(request) = request else { continue };
        let call = name_of(&request);
        if let Some(before) = ledger.note(&call, Instant::now()) {
            tell(name, &call, &request, before);
        }
        if ledger.is_flooded(Instant::now()) {
            tokio::time::sleep(PAUSE).await;
        }
        let answer = ScmpNotifResp::new_error(request.id, -errno(&call, &request), ScmpNotifRespFlags::empty());
        // A caller that was killed meanwhile needs no answer.
        let _ = answer.respond(listener.as_raw_fd());
    }
    let untold = ledger.untold();
    if untold > 0 {
        tracing::warn!(plugin = name, refused = untold, "further system calls were refused by the sandbox");
    }
    Ok(())
}

/// Lets every call through and appends each name once to `NAME` in `folder`; `NAME.granted` has what there is to use, a group
/// and a call a line.
async fn record(folder: &Path, name: &str, granted: &[String], listener: OwnedFd) -> io::Result<()> {
    use std::io::Write;
    if !granted.is_empty() {
        let lines = super::seccomp::allowed(granted).into_iter().map(|(group, call)| format!("{group} {call}\n"));
        std::fs::write(folder.join(format!("{name}.granted")), lines.collect::<String>())?;
    }
    let mut file = std::fs::File::options().create(true).append(true).open(folder.join(name))?;
    let listener = crate::sys::watch(listener, Interest::READABLE)?;
    let mut seen = std::collections::BTreeSet::new();
    while let Some(request) = listener.async_io(Interest::READABLE, next).await? {
        let Some(request) = request else { continue };
        let answer = ScmpNotifResp::new_continue(request.id, ScmpNotifRespFlags::empty());
        let _ = answer.respond(listener.as_raw_fd()); // as above
        let call = name_of(&request);
        if seen.insert(call.clone()) {
            writeln!(file, "{call}")?;
        }
    }
    Ok(())
}

/// The next request; `Some(None)`: its caller has gone again; `None`: no process has the filter any more.
fn next(listener: &OwnedFd) -> io::Result<Option<Option<ScmpNotifReq>>> {
    let mut set = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    poll(&mut set, PollTimeout::ZERO)?;
    let ready = set[0].revents().unwrap_or(PollFlags::empty());
    if ready.contains(PollFlags::POLLIN) {
        return Ok(Some(ScmpNotifReq::receive(listener.as_raw_fd()).ok()));
    }
    if ready.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(None) }
}

/// Tools that tell the kernel's audit what they do (`groupadd`) give up when that socket is forbidden, and go on when there is
/// no such thing.
fn errno(call: &str, request: &ScmpNotifReq) -> i32 {
    let netlink = call == "socket" && request.data.args[0] == u64::from(libc::AF_NETLINK.unsigned_abs());
    if netlink { libc::EPROTONOSUPPORT } else { libc::EPERM }
}

fn name_of(request: &ScmpNotifReq) -> String {
    let call = request.data.syscall;
    // One word for all that nobody knows: each word is remembered.
    call.get_name_by_arch(request.data.arch).unwrap_or_else(|_| "unknown".to_owned())
}

fn tell(plugin: &str, call: &str, request: &ScmpNotifReq, before: u64) {
    let [first, second, ..] = request.data.args;
    let program = std::fs::read_to_string(format!("/proc/{}/comm", request.pid)).unwrap_or_default();
    let (program, pid) = (printable(program.trim()), request.pid);
    let (number, arguments) = (request.data.syscall.as_raw_syscall(), format!("{first:#x}, {second:#x}"));
    tracing::warn!(plugin, syscall = call, number, %arguments, pid, program, before, "system call refused by the sandbox");
}

/// Which refusals were logged when, and how many were not.
#[derive(Default)]
struct Ledger {
    calls: BTreeMap<String, Line>,
    second: Option<Instant>,
    in_second: u32,
}

struct Line {
    told: Instant,
    untold: u64,
}

impl Ledger {
    /// `Some`: this one is for the log, after so many of its kind that were not.
    fn note(&mut self, call: &str, now: Instant) -> Option<u64> {
        if self.second.is_none_or(|second| now - second >= Duration::from_secs(1)) {
            (self.second, self.in_second) = (Some(now), 0);
        }
        self.in_second = self.in_second.saturating_add(1);
        match self.calls.get_mut(call) {
            Some(line) if now - line.told < SILENCE => {
                line.untold += 1;
                None
            }
            Some(line) => {
                line.told = now;
                Some(std::mem::take(&mut line.untold))
            }
            None => {
                self.calls.insert(call.to_owned(), Line { told: now, untold: 0 });
                Some(0)
            }
        }
    }

    fn is_flooded(&self, now: Instant) -> bool {
        self.in_second > PATIENCE && self.second.is_some_and(|second| now - second < Duration::from_secs(1))
    }

    fn untold(&self) -> u64 {
        self.calls.values().map(|line| line.untold).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_call_and_minute_and_waits() {
        let mut ledger = Ledger::default();
        let start = Instant::now();
        assert_eq!(ledger.note("ptrace", start), Some(0));
        assert_eq!(ledger.note("bpf", start), Some(0));
        for _ in 0..PATIENCE {
            assert_eq!(ledger.note("ptrace", start), None);
        }
        assert!(ledger.is_flooded(start));
        assert_eq!(ledger.untold(), u64::from(PATIENCE));
        let later = start + SILENCE;
        assert!(!ledger.is_flooded(later));
        assert_eq!(ledger.note("ptrace", later), Some(u64::from(PATIENCE)));
        assert_eq!(ledger.untold(), 0);
    }
}
