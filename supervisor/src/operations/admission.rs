//! How many operations are admitted: so many on each pool or driver, and so many in all. Beyond that a request is refused
//! at once, with the time after which it may be tried again, and costs nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::api::ApiError;

/// Operations of all kinds that have not ended. Each costs a few kilobytes.
const MOST: usize = 4096;

/// Whose work an operation is, and how much of it there may be: what runs and what waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// `storage pool "slow"`: also what a refused client is told.
    pub(crate) of: String,
    pub(crate) most: usize,
}

/// Counts what was admitted and has not ended; clones share the counts.
#[derive(Clone, Default)]
pub(super) struct Admission(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    all: usize,
    by_load: HashMap<String, usize>,
}

/// An operation that was admitted, until this is dropped.
#[must_use]
pub(crate) struct Admitted {
    admission: Admission,
    of: Option<String>,
}

impl Admission {
    /// # Errors
    /// There is too much already; the client may come again.
    pub(super) fn admit(&self, load: Option<&Load>) -> Result<Admitted, ApiError> {
        let mut counts = self.lock();
        if counts.all >= MOST {
            return Err(ApiError::overloaded(format!("{MOST} operations are under way; try again in a moment")));
        }
        if let Some(Load { of, most }) = load {
            let count = counts.by_load.entry(of.clone()).or_default();
            if *count >= *most {
                let message = format!("{of} is busy: {count} operations run or wait there; try again in a moment");
                return Err(ApiError::overloaded(message));
            }
            *count += 1;
        }
        counts.all += 1;
        Ok(Admitted { admission: self.clone(), of: load.map(|load| load.of.clone()) })
    }

    pub(super) fn admitted(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.admission.lock();
        counts.all -= 1;
        let Some(of) = &self.of else { return };
        if let Some(count) = counts.by_load.get_mut(of) {
            *count -= 1;
            if *count == 0 {
                counts.by_load.remove(of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_busy_pool_is_refused_and_others_are_not() {
        let admission = Admission::default();
        let load = |of: &str| Load { of: of.to_owned(), most: 2 };
        let first = admission.admit(Some(&load("slow"))).ok();
        let _second = admission.admit(Some(&load("slow"))).ok();
        let refused = admission.admit(Some(&load("slow"))).err().unwrap();
        assert_eq!((refused.status.as_u16(), refused.retry_after), (503, Some(1)));
        assert!(refused.message.contains("slow is busy"), "{refused}");
        assert!(admission.admit(Some(&load("quick"))).is_ok());
        drop(first);
        assert!(admission.admit(Some(&load("slow"))).is_ok());
    }

    #[test]
    fn there_is_a_bound_on_all_of_them_and_nothing_is_kept() {
        let admission = Admission::default();
        let load = Load { of: "pool".to_owned(), most: usize::MAX };
        let all: Vec<_> = (0..MOST).map(|_| admission.admit(Some(&load)).ok().unwrap()).collect();
        assert!(admission.admit(None).is_err());
        drop(all);
        assert!(admission.admit(None).is_ok());
        assert!(admission.lock().by_load.is_empty());
    }
}
