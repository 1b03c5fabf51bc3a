//! The calls of one method, or of all of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hull_plugin::Code;

use super::histogram::Histogram;

/// Every code of the contract, in its order there.
pub(super) const CODES: [Code; 15] = [
    Code::NotFound,
    Code::AlreadyExists,
    Code::Busy,
    Code::InvalidConfig,
    Code::NoSpace,
    Code::Unsupported,
    Code::Permission,
    Code::Unavailable,
    Code::Crashed,
    Code::DeadlineExceeded,
    Code::Cancelled,
    Code::Corrupt,
    Code::Internal,
    Code::Overloaded,
    Code::HandedOver,
];

#[derive(Default)]
pub(super) struct Calls {
    pub(super) begun: AtomicU64,
    pub(super) ended: AtomicU64,
    pub(super) errors: [AtomicU64; CODES.len()],
    pub(super) times: Histogram,
}

impl Calls {
    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self, took: Duration, failed: Option<Code>) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.times.count(took);
        if let Some(index) = failed.and_then(|code| CODES.iter().position(|one| *one == code)) {
            self.errors[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn in_flight(&self) -> u64 {
        // Read in this order, a call that ends between the two never makes the difference negative.
        let ended = self.ended.load(Ordering::Relaxed);
        self.begun.load(Ordering::Relaxed).saturating_sub(ended)
    }

    /// Those that there were.
    pub(super) fn errors(&self) -> Vec<(Code, u64)> {
        let counts = CODES.iter().zip(&self.errors).map(|(code, count)| (*code, count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_counted() {
        let calls = Calls::default();
        for (index, code) in CODES.iter().enumerate() {
            assert_eq!(*code as usize, index, "{code:?}: a code is missing in the list");
            calls.end(Duration::ZERO, Some(*code));
        }
        assert!(calls.errors().iter().all(|(_, count)| *count == 1));
    }
}
