//! The policy of an upgrade, as a value: a successor is started beside the process that serves, and replaces it or is refused.
//!
//! ```text
//! Greeting ─▶ Recovering ─▶ Checking ─▶ HandingOver ⇄ Waiting        the old one serves all the while, but for HandingOver
//!                                            └─────▶ Taking ─▶ over  and Taking: then calls wait, for milliseconds
//! any failure, deadline, end of the successor or of the old one ─▶ refused: the old one serves on
//! ```
//! Without an old process `HandingOver` is left out. No clock and no I/O here, as in [`super::state`]. Invariant: calls are held
//! back exactly in `HandingOver` and `Taking`; whatever happens, they are let through again.

use std::time::{Duration, Instant};

/// The handshake of a successor must be through by then, once its program runs.
pub(super) const GREETING: Duration = Duration::from_secs(1);
/// Finding all objects, beside the process that serves: nobody waits for it.
const RECOVERY: Duration = Duration::from_secs(10);
const CHECK: Duration = Duration::from_secs(5);
/// Calls wait for so long. A process that has work it cannot leave is asked again.
const HAND_OVER: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(250);
/// How often it is asked: for some twenty seconds.
pub(super) const ATTEMPTS: u32 = 60;
/// A successor that has found everything has little left to do.
const TAKE_CHARGE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Succession {
    phase: Phase,
    until: Instant,
    predecessor: Predecessor,
}

/// Whether another process serves meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predecessor {
    Serves,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Greeting,
    Recovering,
    Checking,
    /// Asked for the so-many-th time.
    HandingOver(u32),
    Waiting(u32),
    Taking,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Greeted,
    Recovered,
    Healthy,
    HandedOver,
    /// The old process cannot let go yet.
    StillBusy,
    InCharge,
    /// The successor failed, or has ended.
    Failed,
    /// The old process has ended, or does not answer.
    PredecessorLost,
    Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Recover,
    Check,
    /// Calls wait from now on.
    Hold,
    AskToHandOver,
    AskToTakeCharge,
    /// The old process serves on as if nothing had been.
    GiveBack,
    /// Calls go to the successor.
    Switch,
    /// The successor is ended, and who asked is told why.
    Refuse,
}

pub(super) fn begin(predecessor: Predecessor, now: Instant) -> Succession {
    Succession { phase: Phase::Greeting, until: now + GREETING, predecessor }
}

/// The next state; `None` when it is over.
pub(super) fn step(state: Succession, event: Event, now: Instant) -> (Option<Succession>, &'static [Action]) {
    use Action::*;
    use Event::*;
    use Phase::*;
    let then = |phase, within| Some(Succession { phase, until: now + within, ..state });
    let ask = |attempt| then(HandingOver(attempt), HAND_OVER);
    match (state.phase, event) {
        (Greeting, Greeted) => (then(Recovering, RECOVERY), &[Recover]),
        (Recovering, Recovered) => (then(Checking, CHECK), &[Check]),
        (Checking, Healthy) if state.predecessor == Predecessor::None => {
            (then(Taking, TAKE_CHARGE), &[Hold, AskToTakeCharge])
        }
        (Checking, Healthy) => (ask(1), &[Hold, AskToHandOver]),
        (HandingOver(_), HandedOver) => (then(Taking, TAKE_CHARGE), &[AskToTakeCharge]),
        (HandingOver(attempt), StillBusy) if attempt < ATTEMPTS => (then(Waiting(attempt), PAUSE), &[GiveBack]),
        (HandingOver(attempt), Tick) if now >= state.until && attempt < ATTEMPTS => {
            (then(Waiting(attempt), PAUSE), &[GiveBack])
        }
        (HandingOver(_), StillBusy) => (None, &[GiveBack, Refuse]),
        (Waiting(attempt), Tick) if now >= state.until => (ask(attempt + 1), &[Hold, AskToHandOver]),
        (Taking, InCharge) => (None, &[Switch]),
        (HandingOver(_) | Taking, Failed) => (None, &[GiveBack, Refuse]),
        (HandingOver(_) | Taking, Tick) if now >= state.until => (None, &[GiveBack, Refuse]),
        (_, Tick) if now >= state.until => (None, &[Refuse]),
        // Without the old process nothing is left to give back to: what follows its end is the restart policy's.
        (_, Failed | PredecessorLost) => (None, &[Refuse]),
        _ => (Some(state), &[]), // early, late or repeated: harmless
    }
}

impl Succession {
    /// When a `Tick` is due.
    pub(super) fn deadline(&self) -> Instant {
        self.until
    }

    /// Whether the running process is to answer, not the successor.
    pub(super) fn asks_predecessor(&self) -> bool {
        matches!(self.phase, Phase::HandingOver(_))
    }

    /// What it waits for, for the reason of a refusal.
    pub(super) fn waits_for(&self) -> &'static str {
        match self.phase {
            Phase::Greeting => "it gave no greeting within a second",
            Phase::Recovering => "it did not take stock of its objects within 10 s",
            Phase::Checking => "it did not say within 5 s that it is well",
            Phase::HandingOver(_) | Phase::Waiting(_) => "the running process was too busy to hand over",
            Phase::Taking => "it did not take charge within 2 s",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a run of events has come to.
    #[derive(Debug, Default)]
    struct Run {
        held: bool,
        asked: bool,
        holds: u32,
        outcome: Option<Action>,
    }

    impl Run {
        fn act(&mut self, action: Action) {
            assert_eq!(self.outcome, None, "acted after the end");
            match action {
                Action::Hold => {
                    assert!(!self.held);
                    self.held = true;
                    self.holds += 1;
                }
                Action::GiveBack => {
                    assert!(self.held, "given back what was not taken");
                    (self.held, self.asked) = (false, false);
                }
                Action::AskToHandOver => {
                    assert!(self.held);
                    self.asked = true;
                }
                Action::AskToTakeCharge => assert!(self.held),
                Action::Recover | Action::Check => assert!(!self.held),
                Action::Switch => {
                    assert!(self.held);
                    (self.held, self.outcome) = (false, Some(action));
                }
                Action::Refuse => self.outcome = Some(action),
            }
        }
    }

    #[test]
    fn a_good_successor_replaces_the_old_one() {
        let now = Instant::now();
        let mut state = begin(Predecessor::Serves, now);
        let mut done: Vec<Action> = Vec::new();
        for event in [Event::Greeted, Event::Recovered, Event::Healthy, Event::HandedOver] {
            let (next, actions) = step(state, event, now);
            state = next.unwrap();
            done.extend(actions);
        }
        let (end, actions) = step(state, Event::InCharge, now);
        assert_eq!((end, actions), (None, [Action::Switch].as_slice()));
        use Action::*;
        assert_eq!(done, [Recover, Check, Hold, AskToHandOver, AskToTakeCharge]);
    }

    #[test]
    fn a_busy_predecessor_is_asked_again_and_serves_meanwhile() {
        let mut now = Instant::now();
        let checking = [Event::Greeted, Event::Recovered];
        let mut state =
            checking.iter().fold(begin(Predecessor::Serves, now), |state, event| step(state, *event, now).0.unwrap());
        state = step(state, Event::Healthy, now).0.unwrap();
        for _ in 1..ATTEMPTS {
            now = state.deadline();
            let (next, actions) = step(state, Event::Tick, now);
            assert_eq!(actions, [Action::GiveBack]);
            now += PAUSE;
            let (next, actions) = step(next.unwrap(), Event::Tick, now);
            assert_eq!(actions, [Action::Hold, Action::AskToHandOver]);
            state = next.unwrap();
        }
        assert_eq!(step(state, Event::StillBusy, now), (None, [Action::GiveBack, Action::Refuse].as_slice()));
    }

    fn event() -> impl Strategy<Value = Event> {
        use Event::*;
        prop_oneof![
            3 => Just(Greeted), 3 => Just(Recovered), 3 => Just(Healthy), 3 => Just(HandedOver), 1 => Just(StillBusy),
            3 => Just(InCharge), 1 => Just(Failed), 1 => Just(PredecessorLost), 4 => Just(Tick),
        ]
    }

    proptest! {
        /// In every order of events: calls are held only while it is about to switch, and let through again unless the old
        /// process itself is lost; it ends in one outcome, and in any case within a bounded time.
        #[test]
        fn every_order_of_events_ends_well(
            events in prop::collection::vec((event(), 0u64..3_000), 1..300),
            alone in any::<bool>(),
        ) {
            let mut now = Instant::now();
            let predecessor = if alone { Predecessor::None } else { Predecessor::Serves };
            let (mut state, mut run) = (Some(begin(predecessor, now)), Run::default());
            for (event, pause) in events {
                let Some(current) = state else { break };
                now += Duration::from_millis(pause);
                let (next, actions) = step(current, event, now);
                actions.iter().for_each(|action| run.act(*action));
                state = next;
                let lost = event == Event::PredecessorLost;
                if let Some(state) = state {
                    prop_assert_eq!(run.held, matches!(state.phase, Phase::HandingOver(_) | Phase::Taking));
                    prop_assert!(state.deadline() > now || event != Event::Tick, "a deadline that has passed was kept");
                } else {
                    prop_assert!(run.outcome.is_some());
                    prop_assert!(!run.held || lost, "calls are held for ever");
                }
                prop_assert!(!(alone && run.asked), "nobody is there to hand over");
            }
            // Left alone, it ends by its deadlines.
            let mut ticks = 0;
            while let Some(current) = state {
                now = now.max(current.deadline());
                let (next, actions) = step(current, Event::Tick, now);
                actions.iter().for_each(|action| run.act(*action));
                state = next;
                ticks += 1;
                prop_assert!(ticks <= 2 * ATTEMPTS);
            }
            prop_assert!(run.outcome.is_some());
            prop_assert!(run.holds <= ATTEMPTS);
        }
    }
}
