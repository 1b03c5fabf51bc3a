//! Staying awake for a packet that is likely to come at once.
//!
//! To wake a thread that sleeps on another processor takes a virtual machine 13 to 45 µs, and a short call used to do so
//! twice: most of its time. In a series of short calls neither end sleeps in between. Whose last wait was long sleeps at
//! once: a call that stands alone, or takes long, costs one look in vain, and an idle process none.

use std::time::{Duration, Instant};

/// So long at most does one end look for the next packet itself.
const AWAKE: Duration = Duration::from_micros(60);

/// A wait up to this makes the next one likely to be short too. Longer than [`AWAKE`] by what two wakes take, or one that
/// was slept through would be the last one watched.
const BRIEF: Duration = Duration::from_micros(200);

#[derive(Default)]
pub(crate) struct Vigil {
    /// When this end began to wait for the other.
    since: Option<Instant>,
    /// The last wait was a short one.
    brief: bool,
}

impl Vigil {
    /// It is the other end's turn.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// Something has come.
    pub(crate) fn end(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.brief = now.saturating_duration_since(since) <= BRIEF;
        }
    }

    /// Whether to look once more before sleeping.
    pub(crate) fn awake(&self, now: Instant) -> bool {
        self.brief && self.since.is_some_and(|since| now.saturating_duration_since(since) <= AWAKE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits one after the other: whether each is watched at its beginning and, if it lasts so long, at [`AWAKE`]'s end.
    fn watched(waits: &[Duration]) -> Vec<(bool, bool)> {
        let (mut vigil, mut now) = (Vigil::default(), Instant::now());
        waits
            .iter()
            .map(|wait| {
                vigil.begin(now);
                let at = (vigil.awake(now), vigil.awake(now + AWAKE + Duration::from_nanos(1)));
                now += *wait;
                vigil.end(now);
                at
            })
            .collect()
    }

    #[test]
    fn only_in_a_series_of_short_waits_and_never_for_long() {
        let (short, long) = (BRIEF, BRIEF + Duration::from_nanos(1));
        let seen = watched(&[short, short, long, long, short, short]);
        assert_eq!(seen.iter().map(|at| at.0).collect::<Vec<_>>(), [false, true, true, false, false, true]);
        assert!(seen.iter().all(|at| !at.1), "{seen:?}");
    }

    #[test]
    fn nobody_who_has_not_asked_stays_awake() {
        let (mut vigil, now) = (Vigil::default(), Instant::now());
        vigil.begin(now);
        vigil.end(now);
        assert!(!vigil.awake(now), "what comes is worked on, not waited for");
        vigil.end(now + Duration::from_secs(1));
        vigil.begin(now);
        assert!(vigil.awake(now), "what comes unasked says nothing of how long answers take");
    }
}
