//! Which program is the supervisor, as a pure step: a successor is on trial until it is ready, and its predecessor is kept
//! until it has proved to be stable.
//!
//! ```text
//! Settled ─named─▶ Named ─left─▶ Trying ─ready─▶ Probation ─ 10 s ─▶ Settled
//!    ▲ ▲             │ crash        │ end, or too slow  │ two crashes
//!    │ └─────────────┘              │                   │
//!    └───────── the program before it is started again ─┘
//! ```

use std::time::{Duration, Instant};

/// How long a successor has to get ready. Clients wait so long for nothing if it never does.
pub(super) const TRIAL: Duration = Duration::from_secs(10);
/// A successor that ran for so long is trusted as much as its predecessor.
const PROBATION: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Settled,
    /// The next program is known and waits for the supervisor to leave.
    Named,
    Trying {
        until: Instant,
    },
    Probation {
        until: Instant,
        crashes: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Named,
    /// The supervisor has ended in favour of the next program.
    Left,
    /// It has ended in any other way.
    Ended,
    Ready,
    Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The next program is the current one from now on, the current one the previous.
    Promote,
    /// The previous program is the current one again.
    FallBack,
    /// The previous program is not needed any more.
    ForgetPrevious,
    ForgetNext,
    /// Tell who asks that the successor has taken over.
    Approve,
    Start,
    /// Start the current program again after a crash: later and later.
    Restart,
    /// End the supervisor; its end follows as an event.
    Kill,
}

pub(super) fn step(phase: Phase, event: Event, now: Instant) -> (Phase, &'static [Action]) {
    use Action::{Approve, FallBack, ForgetNext, ForgetPrevious, Kill, Promote, Restart, Start};
    use Event::{Ended, Left, Named, Ready, Tick};
    let trying = Phase::Trying { until: now + TRIAL };
    match (phase, event) {
        (Phase::Settled | Phase::Named | Phase::Probation { .. }, Named) => (Phase::Named, &[ForgetPrevious]),
        (Phase::Named, Left) => (trying, &[Promote, Start]),
        (Phase::Named, Ended) => (Phase::Settled, &[ForgetNext, Restart]),
        (Phase::Settled, Left | Ended) => (Phase::Settled, &[Restart]),
        (Phase::Trying { .. }, Ready) => (Phase::Probation { until: now + PROBATION, crashes: 0 }, &[Approve]),
        (Phase::Trying { .. }, Left | Ended) => (Phase::Settled, &[FallBack, Start]),
        (Phase::Trying { until }, Tick) if now >= until => (trying, &[Kill]),
        (Phase::Probation { until, crashes: 0 }, Left | Ended) => (Phase::Probation { until, crashes: 1 }, &[Restart]),
        (Phase::Probation { .. }, Left | Ended) => (Phase::Settled, &[FallBack, Start]),
        (Phase::Probation { until, .. }, Tick) if now >= until => (Phase::Settled, &[ForgetPrevious]),
        // A program that is on trial names nobody; a second `Ready` is the first one of a restarted supervisor.
        (same, Named | Ready | Tick) => (same, &[]),
    }
}

impl Phase {
    /// When the next `Tick` is due.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Trying { until } | Self::Probation { until, .. } => Some(until),
            Self::Settled | Self::Named => None,
        }
    }

    /// Whether a supervisor's exit code can mean the end of all of hulld. A program on trial ends nothing but itself, and
    /// one on probation cannot say that starting again is no use: its predecessor may see that differently.
    pub(super) fn lets_end(self, code: i32) -> bool {
        match self {
            Self::Trying { .. } => false,
            Self::Probation { .. } => code == 0,
            Self::Settled | Self::Named => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the actions make of the programs: numbers, with the time of their start.
    #[derive(Default)]
    struct Programs {
        current: u32,
        next: Option<u32>,
        previous: Option<u32>,
        named: u32,
        starts: u32,
        lives: bool,
    }

    impl Programs {
        fn obey(&mut self, actions: &[Action]) {
            for action in actions {
                match action {
                    Action::Promote => {
                        self.previous = Some(self.current);
                        self.current = self.next.take().expect("a next program is promoted");
                    }
                    Action::FallBack => self.current = self.previous.take().expect("there is one to fall back to"),
                    Action::ForgetPrevious => self.previous = None,
                    Action::ForgetNext => self.next = None,
                    Action::Start | Action::Restart => {
                        assert!(!self.lives, "two supervisors at once");
                        (self.lives, self.starts) = (true, self.starts + 1);
                    }
                    Action::Kill | Action::Approve => {}
                }
            }
        }
    }

    #[test]
    fn a_good_successor_takes_over_and_is_trusted_after_a_while() {
        let now = Instant::now();
        let (phase, _) = step(Phase::Settled, Event::Named, now);
        let (phase, actions) = step(phase, Event::Left, now);
        assert_eq!(actions, [Action::Promote, Action::Start]);
        let (phase, _) = step(phase, Event::Ready, now);
        assert_eq!(step(phase, Event::Tick, now), (phase, &[][..]));
        assert_eq!(step(phase, Event::Tick, now + PROBATION), (Phase::Settled, &[Action::ForgetPrevious][..]));
    }

    #[test]
    fn one_that_never_gets_ready_is_killed_and_replaced_by_its_predecessor() {
        let now = Instant::now();
        let trying = Phase::Trying { until: now + TRIAL };
        assert_eq!(step(trying, Event::Tick, now), (trying, &[][..]));
        let (phase, actions) = step(trying, Event::Tick, now + TRIAL);
        assert_eq!(actions, [Action::Kill]);
        assert_eq!(step(phase, Event::Ended, now), (Phase::Settled, &[Action::FallBack, Action::Start][..]));
    }

    #[test]
    fn one_that_crashes_twice_soon_after_is_replaced_too() {
        let now = Instant::now();
        let phase = Phase::Probation { until: now + PROBATION, crashes: 0 };
        let (phase, actions) = step(phase, Event::Ended, now);
        assert_eq!(actions, [Action::Restart]);
        assert_eq!(step(phase, Event::Ended, now), (Phase::Settled, &[Action::FallBack, Action::Start][..]));
    }

    proptest! {
        /// Whatever happens in whatever order: one supervisor at a time, always one to start, never a missing program.
        #[test]
        fn no_order_of_events_loses_a_program(events in prop::collection::vec((0..5u8, 0..12_000u64), 0..200)) {
            let (mut phase, mut now) = (Phase::Settled, Instant::now());
            let mut programs = Programs { lives: true, ..Programs::default() };
            for (number, pause) in events {
                now += Duration::from_millis(pause);
                let event = match number {
                    0 => Event::Named,
                    1 => Event::Left,
                    2 => Event::Ended,
                    3 => Event::Ready,
                    _ => Event::Tick,
                };
                if event == Event::Named && !matches!(phase, Phase::Trying { .. }) {
                    programs.named += 1;
                    programs.next = Some(programs.named);
                }
                if matches!(event, Event::Left | Event::Ended) {
                    programs.lives = false;
                }
                let actions;
                (phase, actions) = step(phase, event, now);
                programs.obey(actions);
                prop_assert!(programs.lives, "nothing runs after {event:?}");
                if let Phase::Trying { .. } = phase {
                    prop_assert!(programs.previous.is_some());
                }
            }
        }
    }
}
