//! Which of two processes of a plugin may change things.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::{Code, DriverError};

/// Shared by the calls that change what a successor must not miss. Given up in [`Driver::hand_over`](crate::Driver::hand_over)
/// and taken (again) in [`Driver::take_charge`](crate::Driver::take_charge); in between such a call is refused, and Hull makes
/// it at whoever is in charge then: one that was on its way must not change anything behind the successor's back.
#[derive(Clone, Default)]
pub struct Charge {
    changes: Arc<RwLock<()>>,
    given_up: Arc<AtomicBool>,
}

/// Held for the length of a change.
pub struct Share(#[expect(dead_code, reason = "held, not read")] OwnedRwLockReadGuard<()>);

/// No change is under way and none begins while this is held.
pub struct AtRest {
    _changes: OwnedRwLockWriteGuard<()>,
    given_up: Arc<AtomicBool>,
}

impl Charge {
    /// # Errors
    /// [`Code::HandedOver`]: a successor is in charge.
    pub async fn share(&self) -> Result<Share, DriverError> {
        let share = self.changes.clone().read_owned().await;
        match self.given_up.load(Ordering::Relaxed) {
            false => Ok(Share(share)),
            true => Err(DriverError::new(Code::HandedOver, "this process has handed over to its successor")),
        }
    }

    /// Waits for the changes that are under way.
    pub async fn rest(&self) -> AtRest {
        AtRest { _changes: self.changes.clone().write_owned().await, given_up: self.given_up.clone() }
    }

    /// Waits for nothing: changes that began before, which a process that is given its charge back may have, go on.
    pub fn take(&self) {
        self.given_up.store(false, Ordering::Relaxed);
    }
}

impl AtRest {
    pub fn give_up(self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn changes_are_waited_for_and_those_that_come_later_are_refused() {
        let charge = Charge::default();
        let share = charge.share().await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(10), charge.rest()).await.is_err());
        drop(share);
        let at_rest = charge.rest().await;
        let late = {
            let charge = charge.clone();
            tokio::spawn(async move { charge.share().await.err() })
        };
        tokio::task::yield_now().await;
        at_rest.give_up();
        assert_eq!(late.await.unwrap().unwrap().code, Code::HandedOver);
        charge.take();
        assert!(charge.share().await.is_ok());
    }

    #[tokio::test]
    async fn who_does_not_give_up_goes_on() {
        let charge = Charge::default();
        drop(charge.rest().await);
        assert!(charge.share().await.is_ok());
    }
}
