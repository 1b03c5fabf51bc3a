//! One at a time for each key: who comes second waits, and then finds the work done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

#[derive(Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>);

/// The right to work on a key, until it is dropped.
pub(super) struct Flight {
    key: String,
    flights: Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Flights {
    pub(super) async fn board(&self, key: impl Into<String>) -> Flight {
        let key = key.into();
        let lock = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default().clone();
        let guard = Some(lock.lock_owned().await);
        Flight { key, flights: self.0.clone(), guard }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        self.guard = None;
        // Only the map itself holds it: nobody waits, and nobody can come while the map is locked.
        if flights.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn the_same_key_is_worked_on_one_at_a_time() {
        let flights = Arc::new(Flights::default());
        let working = Arc::new(AtomicUsize::new(0));
        let tasks = (0..8).map(|index| {
            let (flights, working) = (flights.clone(), working.clone());
            tokio::spawn(async move {
                let _flight = flights.board(if index % 2 == 0 { "a" } else { "b" }).await;
                assert!(working.fetch_add(1, Ordering::SeqCst) < 2);
                tokio::task::yield_now().await;
                working.fetch_sub(1, Ordering::SeqCst);
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert!(flights.0.lock().unwrap().is_empty());
    }
}
