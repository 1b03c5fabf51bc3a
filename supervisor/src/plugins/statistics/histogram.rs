//! How long calls take: counts in fixed buckets, four to each doubling, so that a percentile is off by an eighth at most.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Up to 8 µs one bucket a microsecond, then four to a doubling: the last begins at about two hours.
const BUCKETS: usize = 8 + 4 * 30;

/// Microseconds, counted.
pub(super) struct Histogram([AtomicU64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Histogram {
    pub(super) fn count(&self, took: Duration) {
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0[bucket(microseconds)].fetch_add(1, Ordering::Relaxed);
    }

    /// The microseconds within which this many of a thousand calls were through; 0 without any.
    pub(super) fn within(&self, per_mille: u64) -> u64 {
        let counts: Vec<u64> = self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let wanted = (total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (index, count) in counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && total > 0 {
                return middle(index);
            }
        }
        0
    }
}

fn bucket(microseconds: u64) -> usize {
    if microseconds < 8 {
        return usize::try_from(microseconds).unwrap_or_default();
    }
    let doubling = microseconds.ilog2(); // 3 or more
    let quarter = (microseconds >> (doubling - 2)) & 3;
    let index = 8 + 4 * (doubling as usize - 3) + usize::try_from(quarter).unwrap_or_default();
    index.min(BUCKETS - 1)
}

/// What stands for a bucket: its middle.
fn middle(index: usize) -> u64 {
    if index < 8 {
        return index as u64;
    }
    let (doubling, quarter) = ((index - 8) / 4 + 3, ((index - 8) % 4) as u64);
    let width = 1u64 << (doubling - 2);
    (4 + quarter) * width + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_are_those_of_the_values() {
        let histogram = Histogram::default();
        assert_eq!(histogram.within(500), 0);
        for microseconds in 1..=1000 {
            histogram.count(Duration::from_micros(microseconds));
        }
        assert!(histogram.within(500).abs_diff(500) <= 500 / 8, "{}", histogram.within(500));
        assert!(histogram.within(990).abs_diff(990) <= 990 / 8, "{}", histogram.within(990));
        histogram.count(Duration::from_secs(1 << 40)); // longer than anything, and still counted
        assert!(histogram.within(1000) > 1_000_000);
    }

    proptest! {
        #[test]
        fn a_bucket_stands_for_what_is_in_it(microseconds in 0u64..1 << 32) {
            let shown = middle(bucket(microseconds));
            prop_assert!(shown.abs_diff(microseconds) * 8 <= microseconds.max(8), "{microseconds} shown as {shown}");
            prop_assert!(bucket(microseconds) <= bucket(microseconds + 1));
        }
    }
}
