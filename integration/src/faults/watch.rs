//! What runs beside the faults and must not notice them: what it notices all the same, and whether the machine is to blame.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Rest;

/// A pause in the pulse that an instance may have.
pub(super) const LONGEST_GAP: Duration = Duration::from_millis(200);
/// What a list of all instances with their state may take.
pub(super) const LONGEST_LIST: Duration = Duration::from_millis(100);
/// How much longer everything may take on a machine that is busy with other work: by how many processes want each processor.
pub(super) fn indulgence() -> f64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (load / f64::from(u32::try_from(processors).unwrap_or(1))).clamp(1.0, 4.0)
}

/// Between two lists.
const PAUSE: Duration = Duration::from_millis(100);

/// Something that took longer than it may, and when.
#[derive(Clone, Debug)]
pub(super) struct Delay {
    pub(super) from: Instant,
    pub(super) length: Duration,
}

impl Delay {
    fn touches(&self, other: &Delay) -> bool {
        const AROUND: Duration = Duration::from_millis(300);
        self.from <= other.from + other.length + AROUND && other.from <= self.from + self.length + AROUND
    }
}

/// Delays as they were noticed, and outright failures.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Mutex<Noticed>>);

#[derive(Debug, Default)]
struct Noticed {
    delays: Vec<Delay>,
    failures: Vec<String>,
}

impl Log {
    pub(super) fn delay(&self, from: Instant, length: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).delays.push(Delay { from, length });
    }

    pub(super) fn failure(&self, what: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failures.push(what);
    }

    /// All since the last time.
    pub(super) fn taken(&self) -> (Vec<Delay>, Vec<String>) {
        let noticed = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        (noticed.delays, noticed.failures)
    }
}

/// The delays of `subject` that the control did not have at the same time, at least half as long.
pub(super) fn unexcused(subject: &[Delay], control: &[Delay], limit: Duration) -> Vec<Delay> {
    let excused = |delay: &Delay| {
        let slow: Duration = control.iter().filter(|other| delay.touches(other)).map(|other| other.length).sum();
        slow * 2 >= delay.length
    };
    subject.iter().filter(|delay| delay.length > limit && !excused(delay)).cloned().collect()
}

/// Asks for all instances and their state, again and again.
pub(super) fn list(rest: Rest, log: Log, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let from = Instant::now();
            match rest.get("/1.0/instances?recursion=2") {
                Ok(answer) if answer.status == 200 => {}
                Ok(answer) => log.failure(format!(
                    "the list answers {}: {}",
                    answer.status,
                    String::from_utf8_lossy(&answer.body)
                )),
                Err(error) => log.failure(format!("the list fails: {error:#}")),
            }
            // Half the bound: the control's delays are told from these, too.
            if from.elapsed() > LONGEST_LIST / 2 {
                log.delay(from, from.elapsed());
            }
            std::thread::sleep(PAUSE);
        }
    })
}

/// This machine's own pauses: a thread that wants to run every 10 ms.
pub(super) fn machine(log: Log, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let from = Instant::now();
            std::thread::sleep(Duration::from_millis(10));
            let late = from.elapsed().saturating_sub(Duration::from_millis(10));
            if late > Duration::from_millis(20) {
                log.delay(from, late);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_control_had_too_is_excused() {
        let start = Instant::now();
        let delay = |at: u64, length: u64| Delay {
            from: start + Duration::from_millis(at),
            length: Duration::from_millis(length),
        };
        let limit = Duration::from_millis(200);
        assert!(unexcused(&[delay(0, 150)], &[], limit).is_empty());
        assert_eq!(unexcused(&[delay(0, 300)], &[], limit).len(), 1);
        assert!(unexcused(&[delay(0, 300)], &[delay(100, 160)], limit).is_empty());
        assert_eq!(unexcused(&[delay(0, 300)], &[delay(1000, 300)], limit).len(), 1);
        assert_eq!(unexcused(&[delay(0, 900)], &[delay(100, 160)], limit).len(), 1);
    }
}
