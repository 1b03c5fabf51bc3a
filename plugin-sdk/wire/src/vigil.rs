//! Staying awake for a packet that is likely to come at once.
//!
//! To wake a thread that sleeps on another processor takes a virtual machine 13 to 45 µs, and a short call used to do so
//! twice: most of its time. In a series of short calls neither end sleeps in between. Whose last wait was long sleeps at
//! once: a call that stands alone, or takes long, costs one look in vain, and an idle process none.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::MAX_DEADLINE;
use crate::frame::Call;

/// So long at most does one end look for the next packet itself.
const AWAKE: Duration = Duration::from_micros(60);

/// A wait up to this makes the next one likely to be short too. Longer than [`AWAKE`] by what two wakes take, or one that
/// was slept through would be the last one watched.
const BRIEF: Duration = Duration::from_micros(200);

pub(crate) struct Vigil {
    /// Calls that were not answered yet, and until when somebody waits for that: of one whose deadline is over neither end says
    /// anything more.
    open: HashMap<u64, Instant>,
    /// So many are open when this end has nothing to do but wait for the other.
    alone: usize,
    /// When it began to.
    since: Option<Instant>,
    /// The last wait was a short one.
    brief: bool,
}

impl Vigil {
    /// Of the end that asks: it waits for the answer to its only call.
    pub(crate) fn for_answer() -> Self {
        Self { open: HashMap::new(), alone: 1, since: None, brief: false }
    }

    /// Of the end that answers: it waits for a call when it has answered all.
    pub(crate) fn for_call() -> Self {
        Self { alone: 0, ..Self::for_answer() }
    }

    pub(crate) fn count<T>(&mut self, call: &Call<T>, now: Instant) {
        match call {
            Call::Request { id, deadline_micros, .. } => {
                let patience = Duration::from_micros(*deadline_micros).min(MAX_DEADLINE);
                self.open.insert(*id, now + patience);
            }
            Call::Cancel { id, .. } => self.answered(*id),
        }
    }

    pub(crate) fn answered(&mut self, id: u64) {
        self.open.remove(&id);
    }

    /// It is the other end's turn. Who has several calls open has others to look after, and sleeps until something comes.
    pub(crate) fn begin(&mut self, now: Instant) {
        if self.open.len() > self.alone {
            self.open.retain(|_, deadline| *deadline > now);
        }
        self.since = (self.open.len() == self.alone).then_some(now);
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
    use crate::RequestId;

    fn call(id: u64) -> Call<()> {
        Call::Request { id, deadline_micros: 1_000_000, request: RequestId(1), body: () }
    }

    /// Waits one after the other: whether each is watched at its beginning and, if it lasts so long, at [`AWAKE`]'s end.
    fn watched(waits: &[Duration]) -> Vec<(bool, bool)> {
        let (mut vigil, mut now) = (Vigil::for_call(), Instant::now());
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
        let (mut vigil, now) = (Vigil::for_call(), Instant::now());
        vigil.begin(now);
        vigil.end(now);
        assert!(!vigil.awake(now), "what comes is worked on, not waited for");
        vigil.end(now + Duration::from_secs(1));
        vigil.begin(now);
        assert!(vigil.awake(now), "what comes unasked says nothing of how long answers take");
    }

    #[test]
    fn who_has_several_calls_open_sleeps() {
        let now = Instant::now();
        for (mut vigil, opened, awake) in [
            (Vigil::for_answer(), 1, true),
            (Vigil::for_answer(), 2, false),
            (Vigil::for_call(), 0, true),
            (Vigil::for_call(), 1, false),
        ] {
            vigil.brief = true;
            (0..opened).for_each(|id| vigil.count(&call(id), now));
            vigil.begin(now);
            assert_eq!(vigil.awake(now), awake, "{opened} of {}", vigil.alone);
        }
        let mut vigil = Vigil::for_answer();
        vigil.brief = true;
        vigil.count(&call(1), now);
        vigil.count(&call(2), now);
        vigil.count(&Call::<()>::Cancel { id: 1, request: RequestId(1) }, now);
        vigil.answered(1);
        vigil.begin(now);
        assert!(vigil.awake(now), "an answer to a call that was taken back counts for no other");
        vigil.count(&call(3), now + Duration::from_secs(1));
        let later = now + Duration::from_secs(1);
        vigil.begin(later);
        assert!(vigil.awake(later), "nobody waits for the second any more");
    }
}
