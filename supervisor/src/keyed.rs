//! A lock for each key.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Locks by key: who waits for one keeps nobody from the others. Those that nobody holds or wants are forgotten.
#[derive(Default)]
pub(crate) struct KeyedLocks(Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl KeyedLocks {
    pub(crate) async fn lock(&self, key: &str) -> OwnedMutexGuard<()> {
        let lock = self.known().entry(key.to_owned()).or_default().clone();
        lock.lock_owned().await
    }

    /// `None`: `most` hold it or wait for it already.
    pub(crate) async fn lock_among(&self, key: &str, most: usize) -> Option<OwnedMutexGuard<()>> {
        let lock = {
            let mut known = self.known();
            let lock = known.entry(key.to_owned()).or_default();
            if Arc::strong_count(lock) > most {
                return None; // beside the map's own
            }
            lock.clone()
        };
        Some(lock.lock_owned().await)
    }

    /// Those that somebody holds or waits for.
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Arc<tokio::sync::Mutex<()>>>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, lock| Arc::strong_count(lock) > 1);
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_key_waits_up_to_a_bound_and_others_do_not() {
        const MOST: usize = 8;
        let locks = Arc::new(KeyedLocks::default());
        let first = locks.lock("slow").await;
        let waiting: Vec<_> = (0..MOST * 2)
            .map(|_| {
                let locks = locks.clone();
                tokio::spawn(async move { locks.lock_among("slow", MOST).await.is_none() })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(locks.lock("quick").await);
        drop(first);
        let mut refused = 0;
        for one in waiting {
            refused += usize::from(one.await.unwrap());
        }
        assert_eq!(refused, MOST + 1, "the first one counts");
        drop(locks.lock_among("slow", 1).await.unwrap());
        drop(locks.lock("other").await);
        assert_eq!(locks.0.lock().unwrap().len(), 1, "what nobody wants is forgotten");
    }
}
