//! How many calls there were in the last minute: a ring of seconds, each a stamp and a count in one word.

use std::sync::atomic::{AtomicU64, Ordering};

/// A minute, and the second that is not over.
const SECONDS: u64 = 61;
const COUNT_BITS: u32 = 24;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

pub(super) struct Rate([AtomicU64; SECONDS as usize]);

impl Default for Rate {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Rate {
    /// `second`: since any fixed moment.
    pub(super) fn count(&self, second: u64) {
        let slot = &self.0[usize::try_from(second % SECONDS).unwrap_or_default()];
        let counted = |word: u64| {
            let count = if word >> COUNT_BITS == second { (word & COUNT_MASK).min(COUNT_MASK - 1) } else { 0 };
            Some(second << COUNT_BITS | (count + 1))
        };
        // Always `Some`: it never fails.
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted);
    }

    /// Calls in the minute before `second`.
    pub(super) fn last_minute(&self, second: u64) -> u64 {
        let words = self.0.iter().map(|word| word.load(Ordering::Relaxed));
        let recent = words.filter(|word| {
            let stamp = word >> COUNT_BITS;
            stamp <= second && second - stamp < SECONDS
        });
        recent.map(|word| word & COUNT_MASK).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_minute_counts() {
        let rate = Rate::default();
        for second in 0..200 {
            rate.count(second);
            rate.count(second);
        }
        assert_eq!(rate.last_minute(199), 122);
        assert_eq!(rate.last_minute(199 + 30), 62);
        assert_eq!(rate.last_minute(199 + 100), 0);
    }
}
