//! How the processes of a plugin ended: the last few times, for whoever asks why.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// How many ends are kept.
const KEPT: usize = 10;
/// Ends within this time make a plugin one that keeps ending.
const WINDOW: Duration = Duration::from_secs(600);
/// So many of them.
const TOO_MANY: usize = 3;

/// One process is gone, or was never there.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) at: DateTime<Utc>,
    /// In words, with the process's last ones.
    pub(crate) how: String,
    moment: Instant,
}

#[derive(Default)]
pub(super) struct Ends(VecDeque<End>);

impl Ends {
    /// Puts an end down; `true` if there were too many lately.
    pub(super) fn add(&mut self, how: &str, at: DateTime<Utc>, moment: Instant) -> bool {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(End { at, how: how.to_owned(), moment });
        let lately = |end: &&End| moment.saturating_duration_since(end.moment) < WINDOW;
        self.0.iter().filter(lately).count() >= TOO_MANY
    }

    /// The oldest first.
    pub(super) fn all(&self) -> Vec<End> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_within_ten_minutes_are_too_many() {
        let (mut ends, now, at) = (Ends::default(), Instant::now(), Utc::now());
        assert!(!ends.add("a", at, now));
        assert!(!ends.add("b", at, now + Duration::from_secs(300)));
        assert!(!ends.add("c", at, now + Duration::from_secs(700)));
        assert!(ends.add("d", at, now + Duration::from_secs(800)));
        for _ in 0..20 {
            ends.add("e", at, now);
        }
        assert_eq!(ends.all().len(), KEPT);
    }
}
