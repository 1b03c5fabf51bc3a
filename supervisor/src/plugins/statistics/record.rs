//! The figures of one plugin process, over all its incarnations.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use chrono::Utc;
use hull_plugin::{Code, DriverError};

use super::calls::Calls;
use super::ends::{End, Ends};
use super::rate::Rate;

/// More than any contract has methods.
const METHODS: usize = 40;

/// See the module.
pub(crate) struct Statistics {
    origin: Instant,
    all: Calls,
    rate: Rate,
    /// One slot a method, taken in the order in which they are first called.
    methods: [OnceLock<Box<Method>>; METHODS],
    starts: AtomicU64,
    crashes: AtomicU64,
    /// Somebody asked for the process's end: it is no crash.
    expected: AtomicBool,
    /// The process has ended because nobody needed it.
    rests: AtomicBool,
    /// Something was said about it that a call which works takes back.
    doubted: AtomicBool,
    ends: Mutex<Ends>,
}

/// What the end of a process was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Somebody asked for it.
    Expected,
    Crash,
    /// The last of too many lately.
    TooOften,
}

struct Method {
    name: &'static str,
    calls: Calls,
}

/// The figures of one method.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MethodFigures {
    pub(crate) name: &'static str,
    pub(crate) calls: u64,
    pub(crate) errors: Vec<(Code, u64)>,
    pub(crate) in_flight: u64,
    pub(crate) p50_microseconds: u64,
    pub(crate) p99_microseconds: u64,
}

/// One call under way. Dropped without an answer, its caller has given up.
pub(crate) struct InFlight<'a> {
    statistics: &'a Statistics,
    method: Option<&'a Method>,
    begun: Instant,
    failed: Option<Code>,
}

impl Default for Statistics {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            all: Calls::default(),
            rate: Rate::default(),
            methods: std::array::from_fn(|_| OnceLock::new()),
            starts: AtomicU64::new(0),
            crashes: AtomicU64::new(0),
            expected: AtomicBool::new(false),
            rests: AtomicBool::new(false),
            doubted: AtomicBool::new(false),
            ends: Mutex::default(),
        }
    }
}

impl Statistics {
    pub(crate) fn call(&self, method: &'static str) -> InFlight<'_> {
        let method = self.method(method);
        self.all.begin();
        self.rate.count(self.origin.elapsed().as_secs());
        if let Some(method) = method {
            method.calls.begin();
        }
        InFlight { statistics: self, method, begun: Instant::now(), failed: Some(Code::Cancelled) }
    }

    /// A process was started.
    pub(crate) fn started(&self) {
        if !self.rests.swap(false, Ordering::Relaxed) {
            self.starts.fetch_add(1, Ordering::Relaxed);
        }
        self.expected.store(false, Ordering::Relaxed);
    }

    /// A process ends because nobody needs it: the next start is no restart.
    pub(crate) fn rests(&self) {
        self.rests.store(true, Ordering::Relaxed);
    }

    /// The next end is one that somebody asked for.
    pub(crate) fn expect_end(&self) {
        self.expected.store(true, Ordering::Relaxed);
    }

    /// A process is gone.
    pub(crate) fn ended(&self, how: &str) -> Ending {
        if self.expected.swap(false, Ordering::Relaxed) {
            return Ending::Expected;
        }
        self.crashes.fetch_add(1, Ordering::Relaxed);
        let often = self.ends.lock().unwrap_or_else(PoisonError::into_inner).add(how, Utc::now(), Instant::now());
        if often { Ending::TooOften } else { Ending::Crash }
    }

    pub(crate) fn ends(&self) -> Vec<End> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).all()
    }

    /// From now on the next call that works is news.
    pub(crate) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// A call has worked; `true` if that is news.
    pub(crate) fn works(&self) -> bool {
        self.doubted.load(Ordering::Relaxed) && self.doubted.swap(false, Ordering::Relaxed)
    }

    /// The figures over all methods, without those that somebody else knows (memory).
    pub(crate) fn figures(&self) -> hull_api::PluginStatistics {
        let second = self.origin.elapsed().as_secs();
        let span = second.clamp(1, 60);
        hull_api::PluginStatistics {
            calls: self.all.ended.load(Ordering::Relaxed) + self.all.in_flight(),
            calls_per_second: self.rate.last_minute(second) as f64 / span as f64, // small numbers: exact
            errors: self.all.errors().into_iter().map(|(code, count)| (code_word(code), count)).collect(),
            in_flight: self.all.in_flight(),
            p50_microseconds: self.all.times.within(500),
            p99_microseconds: self.all.times.within(990),
            restarts: self.starts.load(Ordering::Relaxed).saturating_sub(1),
            crashes: self.crashes.load(Ordering::Relaxed),
            ..hull_api::PluginStatistics::default()
        }
    }

    /// By method, those that were called.
    pub(crate) fn methods(&self) -> Vec<MethodFigures> {
        let known = self.methods.iter().filter_map(OnceLock::get);
        let figures = known.map(|method| MethodFigures {
            name: method.name,
            calls: method.calls.ended.load(Ordering::Relaxed) + method.calls.in_flight(),
            errors: method.calls.errors(),
            in_flight: method.calls.in_flight(),
            p50_microseconds: method.calls.times.within(500),
            p99_microseconds: method.calls.times.within(990),
        });
        figures.collect()
    }

    fn method(&self, name: &'static str) -> Option<&Method> {
        self.methods.iter().find_map(|slot| {
            let method = slot.get_or_init(|| Box::new(Method { name, calls: Calls::default() }));
            (method.name == name).then_some(&**method)
        })
    }
}

impl InFlight<'_> {
    /// The call has an answer.
    pub(crate) fn answered<T>(mut self, answer: &Result<T, DriverError>) {
        self.failed = answer.as_ref().err().map(|error| error.code);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        self.statistics.all.end(took, self.failed);
        if let Some(method) = self.method {
            method.calls.end(took, self.failed);
        }
    }
}

/// `not-found`: a code as the API and the metrics write it.
pub(crate) fn code_word(code: Code) -> String {
    let mut word = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !word.is_empty() {
            word.push('-');
        }
        word.push(letter.to_ascii_lowercase());
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_method_and_by_what_became_of_them() {
        let statistics = Statistics::default();
        statistics.call("state").answered(&Ok(()));
        statistics.call("state").answered::<()>(&Err(DriverError::not_found("no")));
        drop(statistics.call("start")); // given up
        let running = statistics.call("start");
        let figures = statistics.figures();
        assert_eq!((figures.calls, figures.in_flight), (4, 1));
        assert_eq!(figures.errors.get("not-found"), Some(&1));
        assert_eq!(figures.errors.get("cancelled"), Some(&1));
        assert!(figures.calls_per_second > 0.0);
        drop(running);
        let methods = statistics.methods();
        assert_eq!(methods.iter().map(|one| (one.name, one.calls)).collect::<Vec<_>>(), [("state", 2), ("start", 2)]);
    }

    #[test]
    fn an_end_that_was_asked_for_is_no_crash() {
        let statistics = Statistics::default();
        statistics.started();
        statistics.expect_end();
        assert_eq!(statistics.ended("killed"), Ending::Expected);
        statistics.started();
        assert_eq!(statistics.ended("crashed"), Ending::Crash);
        let figures = statistics.figures();
        assert_eq!((figures.restarts, figures.crashes), (1, 1));
        assert_eq!(statistics.ends().len(), 1);
    }

    #[test]
    fn that_it_works_again_is_news_once() {
        let statistics = Statistics::default();
        assert!(!statistics.works());
        statistics.doubt();
        assert!(statistics.works() && !statistics.works());
    }
}
