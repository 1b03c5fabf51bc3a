//! The restart policy of one plugin process, as a value.
//!
//! ```text
//! Stopped ─Wanted▶ Starting ─Greeted▶ Recovering ─Recovered▶ Ready
//!                     ▲  └────────┬───────────┴─────────────┘ │
//!                     │        Exited                  Hung, Broken, deadline
//!                  Tick│          ▼                           ▼
//!                     └──────── Backoff ◀──Exited, Tick──── Killing
//!                                 └─ five crashes in two minutes ─▶ Failed ─Reset, or Wanted after a minute─▶ Starting
//! ```
//! From `Starting`, `Absent` leads back to `Stopped`: the next call tries again.
//! From `Ready`, `Unneeded` leads back to `Stopped`: the process finishes what it was asked, and ends.
//! No clock and no I/O here: `step` is given both. A process that does not die of SIGKILL is abandoned, never waited for.

use std::time::{Duration, Instant};

/// The handshake must be through by then; twice the time after each attempt in a row that failed, up to [`LONGEST_GREETING`], so
/// that a driver comes up even on a machine so slow or busy that the first attempts come too late.
pub(crate) const GREETING: Duration = Duration::from_secs(1);
pub(crate) const LONGEST_GREETING: Duration = Duration::from_secs(16);
/// Taking its objects over must be through by then.
const RECOVERY: Duration = Duration::from_secs(60);
/// How long SIGKILL may take before the process is abandoned.
const DYING: Duration = Duration::from_secs(2);
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// After so long in `Ready` earlier crashes no longer lengthen the backoff.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);
/// The breaker: this many crashes within the window.
pub(crate) const MAX_CRASHES: usize = 5;
const WINDOW: Duration = Duration::from_secs(120);
/// A failed plugin that is wanted again is tried again after this.
const COOLING: Duration = Duration::from_secs(60);

/// What is remembered of earlier crashes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Crashes {
    /// The latest ones, newest first.
    times: [Option<Instant>; MAX_CRASHES],
    /// Since it last was healthy for a while.
    streak: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum State {
    Stopped,
    Starting { crashes: Crashes, until: Instant },
    Recovering { crashes: Crashes, until: Instant },
    Ready { crashes: Crashes, since: Instant },
    Killing { crashes: Crashes, until: Instant },
    Backoff { crashes: Crashes, until: Instant },
    Failed { since: Instant },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Event {
    /// Somebody wants to call it.
    Wanted,
    Greeted,
    Recovered,
    /// It does not answer, or breaks the protocol.
    Hung,
    /// The process has ended, or could not be started.
    Exited,
    /// What it is to look after is not there: no fault of its own.
    Absent,
    /// The administrator wants it tried anew.
    Reset,
    /// Nobody has called it for a while, and it has nothing to look after.
    Unneeded,
    Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Spawn,
    Recover,
    Route,
    Unroute,
    /// Let it finish and end; the next call starts another.
    Rest,
    Kill,
    /// Stop caring for a process that even SIGKILL does not end.
    Abandon,
    Warn,
}

pub(crate) fn step(state: State, event: Event, now: Instant) -> (State, &'static [Action]) {
    use Action::*;
    use Event::*;
    use State::*;
    let starting = |crashes: Crashes| Starting { crashes, until: now + crashes.greeting() };
    let killing = |crashes| Killing { crashes, until: now + DYING };
    match (state, event) {
        (Stopped, Wanted | Reset) => (starting(Crashes::default()), &[Spawn]),
        (Failed { since }, Wanted) if now.saturating_duration_since(since) >= COOLING => {
            (starting(Crashes::default()), &[Spawn])
        }
        (Failed { .. } | Backoff { .. }, Reset) => (starting(Crashes::default()), &[Spawn]),
        (Starting { .. }, Absent) => (Stopped, &[]),
        (Starting { crashes, .. }, Greeted) => (Recovering { crashes, until: now + RECOVERY }, &[Recover]),
        (Recovering { crashes, .. }, Recovered) => (Ready { crashes, since: now }, &[Route]),
        (Starting { crashes, until } | Recovering { crashes, until }, Tick) if now >= until => {
            (killing(crashes), &[Kill])
        }
        (Starting { crashes, .. } | Recovering { crashes, .. }, Hung) => (killing(crashes), &[Kill]),
        (Ready { crashes, since }, Hung) => (killing(crashes.forgiven(since, now)), &[Unroute, Kill]),
        (Ready { .. }, Unneeded) => (Stopped, &[Rest]),
        // Somebody's wish is no fault of the plugin's.
        (Ready { .. }, Reset) => (killing(Crashes::default()), &[Unroute, Kill]),
        (Ready { crashes, since }, Exited) => crashed(crashes.forgiven(since, now), now, &[Unroute], &[Unroute, Warn]),
        (Starting { crashes, .. } | Recovering { crashes, .. } | Killing { crashes, .. }, Exited) => {
            crashed(crashes, now, &[], &[Warn])
        }
        (Killing { crashes, until }, Tick) if now >= until => crashed(crashes, now, &[Abandon], &[Abandon, Warn]),
        (Backoff { crashes, until }, Tick) if now >= until => (starting(crashes), &[Spawn]),
        (same, _) => (same, &[]), // early, late or repeated: harmless
    }
}

/// A successor serves, which nobody has seen crash yet.
pub(super) fn succeeded(now: Instant) -> State {
    State::Ready { crashes: Crashes::default(), since: now }
}

/// After a crash: wait a little and start again, or give up.
fn crashed(
    crashes: Crashes,
    now: Instant,
    again: &'static [Action],
    never: &'static [Action],
) -> (State, &'static [Action]) {
    let crashes = crashes.and(now);
    if crashes.within_window(now) >= MAX_CRASHES {
        return (State::Failed { since: now }, never);
    }
    (State::Backoff { crashes, until: now + crashes.backoff() }, again)
}

impl State {
    /// When a `Tick` is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            State::Starting { until, .. }
            | State::Recovering { until, .. }
            | State::Killing { until, .. }
            | State::Backoff { until, .. } => Some(*until),
            State::Stopped | State::Ready { .. } | State::Failed { .. } => None,
        }
    }
}

impl Crashes {
    fn and(mut self, now: Instant) -> Self {
        self.times.rotate_right(1);
        self.times[0] = Some(now);
        self.streak = self.streak.saturating_add(1);
        self
    }

    fn forgiven(self, ready_since: Instant, now: Instant) -> Self {
        let healthy = now.saturating_duration_since(ready_since) >= FORGIVEN_AFTER;
        if healthy { Self { streak: 0, ..self } } else { self }
    }

    fn within_window(&self, now: Instant) -> usize {
        self.times.iter().flatten().filter(|time| now.saturating_duration_since(**time) < WINDOW).count()
    }

    fn greeting(&self) -> Duration {
        GREETING.saturating_mul(1 << self.streak.min(8)).min(LONGEST_GREETING)
    }

    fn backoff(&self) -> Duration {
        FIRST_BACKOFF.saturating_mul(1 << self.streak.saturating_sub(1).min(16)).min(LONGEST_BACKOFF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ready(now: Instant) -> State {
        State::Ready { crashes: Crashes::default(), since: now }
    }

    #[test]
    fn a_crash_is_followed_by_a_start_within_ten_milliseconds() {
        let now = Instant::now();
        let (state, actions) = step(ready(now), Event::Exited, now);
        assert_eq!(actions, [Action::Unroute]);
        let (state, actions) = step(state, Event::Tick, now + FIRST_BACKOFF);
        assert!(matches!(state, State::Starting { .. }));
        assert_eq!(actions, [Action::Spawn]);
    }

    #[test]
    fn what_is_away_is_no_crash() {
        let now = Instant::now();
        let starting = State::Starting { crashes: Crashes::default(), until: now + GREETING };
        assert_eq!(step(starting, Event::Absent, now), (State::Stopped, &[][..]));
        assert_eq!(step(State::Stopped, Event::Wanted, now).1, [Action::Spawn]);
    }

    #[test]
    fn five_crashes_in_two_minutes_are_enough_and_slow_ones_are_not() {
        let crash_every = |pause: Duration| {
            let now = Instant::now();
            let times: Vec<Instant> = (0..4).map(|index| now - pause * (4 - index)).collect();
            step(ready_with(now, &times), Event::Exited, now).0
        };
        assert!(matches!(crash_every(Duration::from_secs(10)), State::Failed { .. }));
        assert!(matches!(crash_every(Duration::from_secs(40)), State::Backoff { .. }));
    }

    #[test]
    fn being_restarted_often_is_no_reason_to_give_up() {
        let mut now = Instant::now();
        let mut state = ready(now);
        for _ in 0..MAX_CRASHES * 2 {
            (state, _) = step(state, Event::Reset, now);
            (state, _) = step(state, Event::Exited, now);
            let State::Backoff { until, .. } = state else { panic!("given up after a wish: {state:?}") };
            now = until;
            (state, _) = step(state, Event::Tick, now);
            (state, _) = step(state, Event::Greeted, now);
            (state, _) = step(state, Event::Recovered, now);
            assert!(matches!(state, State::Ready { .. }));
        }
    }

    fn ready_with(now: Instant, times: &[Instant]) -> State {
        let crashes = times.iter().fold(Crashes::default(), |crashes, time| crashes.and(*time));
        State::Ready { crashes, since: now }
    }

    #[test]
    fn the_backoff_doubles_up_to_its_bound_and_health_resets_it() {
        let now = Instant::now();
        let mut crashes = Crashes::default();
        let mut pauses = Vec::new();
        for _ in 0..14 {
            crashes = crashes.and(now);
            pauses.push(crashes.backoff());
        }
        assert_eq!(pauses[0], Duration::from_millis(10));
        assert_eq!(pauses[1], Duration::from_millis(20));
        assert_eq!(pauses[13], LONGEST_BACKOFF);
        assert_eq!(crashes.forgiven(now, now + FORGIVEN_AFTER).and(now).backoff(), FIRST_BACKOFF);
    }

    #[test]
    fn each_failed_start_is_followed_by_a_more_patient_one() {
        let mut now = Instant::now();
        let mut state = step(State::Stopped, Event::Wanted, now).0;
        let mut patience = Vec::new();
        while let State::Starting { until, .. } = state {
            patience.push((until - now).as_secs());
            now = until;
            state = step(state, Event::Tick, now).0;
            state = step(state, Event::Exited, now).0;
            let State::Backoff { until, .. } = state else { break };
            now = until;
            state = step(state, Event::Tick, now).0;
        }
        assert_eq!(patience, [1, 2, 4, 8, 16]);
        assert!(matches!(state, State::Failed { .. }));
    }

    #[test]
    fn a_process_that_does_not_die_is_abandoned() {
        let now = Instant::now();
        let (state, actions) = step(ready(now), Event::Hung, now);
        assert_eq!(actions, [Action::Unroute, Action::Kill]);
        let (state, actions) = step(state, Event::Tick, now + DYING);
        assert!(matches!(state, State::Backoff { .. }));
        assert_eq!(actions, [Action::Abandon]);
    }

    fn event() -> impl Strategy<Value = Event> {
        use Event::*;
        let any = [Wanted, Greeted, Recovered, Hung, Exited, Reset, Unneeded, Tick];
        prop::sample::select(any.to_vec())
    }

    proptest! {
        /// In every order of events: at most one process at a time, routed only while ready, and after the pauses it
        /// asked for a wanted plugin is starting, running or failed: never forgotten.
        #[test]
        fn every_order_of_events_is_survived(events in prop::collection::vec((event(), 0u64..40_000), 1..200)) {
            let mut now = Instant::now();
            let (mut state, mut alive, mut routed, mut wanted) = (State::Stopped, false, false, false);
            for (event, pause) in events {
                now += Duration::from_millis(pause);
                if event == Event::Exited && !alive {
                    continue; // nothing there that could exit
                }
                wanted |= matches!(event, Event::Wanted | Event::Reset);
                alive &= event != Event::Exited;
                let (next, actions) = step(state, event, now);
                for action in actions {
                    match action {
                        Action::Spawn => { prop_assert!(!alive); alive = true; }
                        Action::Abandon => alive = false,
                        Action::Rest => {
                            prop_assert!(alive && routed);
                            (alive, routed, wanted) = (false, false, false);
                        }
                        Action::Route => { prop_assert!(alive && !routed); routed = true; }
                        Action::Unroute => { prop_assert!(routed); routed = false; }
                        Action::Recover | Action::Kill => prop_assert!(alive),
                        Action::Warn => prop_assert!(matches!(next, State::Failed { .. }), "warned too early"),
                    }
                }
                state = next;
                prop_assert_eq!(routed, matches!(state, State::Ready { .. }));
                let should_live = !matches!(state, State::Stopped | State::Backoff { .. } | State::Failed { .. });
                prop_assert_eq!(alive, should_live);
                prop_assert_eq!(state == State::Stopped, !wanted);
                if let State::Backoff { until, .. } = state {
                    prop_assert!(until <= now + LONGEST_BACKOFF);
                    prop_assert!(matches!(step(state, Event::Tick, until).0, State::Starting { .. }), "forgotten");
                }
            }
        }
    }
}
