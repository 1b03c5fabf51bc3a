//! The subject and its control: two hosts alike, one with adversaries, and what both notice of the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::Result;

use super::pulse::Pulse;
use super::watch::{self, LONGEST_GAP, LONGEST_LIST, Log};
use crate::{Host, Instance};

/// The instance with the pulse, on either host.
pub(super) const WEB: &str = "web";

/// A pulse and a list, watched.
pub(super) struct Watched {
    pub(super) pulse: Pulse,
    list: Log,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watched {
    /// Starts the instance and everything that watches it.
    pub(super) fn start(host: &Host) -> Result<Self> {
        let pulse = Pulse::start(&host.running(WEB)?)?;
        let (list, stop) = (Log::default(), Arc::new(AtomicBool::new(false)));
        let threads = vec![watch::list(host.rest.clone(), list.clone(), stop.clone())];
        Ok(Self { pulse, list, stop, threads })
    }

    pub(super) fn instance<'a>(&self, host: &'a Host) -> Instance<'a> {
        Instance { host, name: WEB.into() }
    }

    /// What has been noticed until now is void.
    pub(super) fn forget(&self) {
        self.list.taken();
        self.pulse.log.taken();
    }

    /// What `self` has noticed since the last time and `control` has not, in words.
    pub(super) fn findings(&self, control: &Self, machine: &Log) -> Vec<String> {
        let (machine, _) = machine.taken();
        let mut findings = Vec::new();
        for (what, limit, own, other) in [
            ("the pulse of `web` paused", LONGEST_GAP, &self.pulse.log, &control.pulse.log),
            ("the list of instances took", LONGEST_LIST, &self.list, &control.list),
        ] {
            let ((delays, failures), (mut excuses, _)) = (own.taken(), other.taken());
            excuses.extend(machine.iter().cloned());
            let late = watch::unexcused(&delays, &excuses, limit.mul_f64(watch::indulgence()));
            findings.extend(late.iter().map(|delay| format!("{what} for {} ms", delay.length.as_millis())));
            findings.extend(failures);
        }
        findings
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // it does not panic
        }
    }
}
