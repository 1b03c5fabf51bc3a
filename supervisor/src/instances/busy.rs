//! The right to change an instance: one verb at a time has it.
//!
//! ```text
//! claim ─▶ held ─────────────────────────────▶ free
//!           │ ▲ insist                        ▲
//!     yield ▼ │ (unless it was taken)         │
//!         held, but only waiting ─ force ─▶ taken by a forced stop; the verb that waited ends with an error
//! ```
//! A verb that only waits for the guest (a clean stop, the first half of a restart) yields: a forced stop takes the right
//! from it at once. What was taken is never given back, so that a restart cannot go on after somebody stopped the instance.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::api::ApiError;

#[derive(Clone, Default)]
pub(super) struct Claims(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Default)]
struct State {
    holder: Option<Holder>,
    number: u64,
    /// The instance is gone: nobody gets it any more.
    closed: bool,
}

struct Holder {
    number: u64,
    verb: &'static str,
    /// It only waits: cancelled when the right is taken from it.
    yields: Option<CancellationToken>,
}

/// The right to change an instance, until this is dropped.
pub(crate) struct Busy {
    claims: Claims,
    number: u64,
}

impl Claims {
    /// # Errors
    /// Another verb has it.
    pub(super) fn claim(&self, verb: &'static str) -> Result<Busy, ApiError> {
        self.take(verb, false)
    }

    /// Takes it from a verb that only waits.
    ///
    /// # Errors
    /// Another verb has it and is at work.
    pub(super) fn claim_by_force(&self, verb: &'static str) -> Result<Busy, ApiError> {
        self.take(verb, true)
    }

    /// Waits for it.
    ///
    /// # Errors
    /// The instance is gone.
    pub(super) async fn claim_when_free(&self, verb: &'static str) -> Result<Busy, ApiError> {
        loop {
            let freed = self.0.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable(); // what is freed from here on is heard of
            match self.claim(verb) {
                Err(_) if !self.lock().closed => freed.await,
                claimed => return claimed,
            }
        }
    }

    /// The instance is gone, whoever still knows it.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.0.freed.notify_waiters();
    }

    /// Which verb has it.
    pub(super) fn holder(&self) -> Option<&'static str> {
        self.lock().holder.as_ref().map(|holder| holder.verb)
    }

    fn take(&self, verb: &'static str, force: bool) -> Result<Busy, ApiError> {
        let mut state = self.lock();
        if state.closed {
            return Err(ApiError::not_found("Instance not found"));
        }
        match &state.holder {
            Some(Holder { yields: Some(yields), .. }) if force => yields.cancel(),
            Some(Holder { verb: other, .. }) => {
                return Err(ApiError::bad_request(format!("Instance is busy running a \"{other}\" operation")));
            }
            None => {}
        }
        state.number += 1;
        let number = state.number;
        state.holder = Some(Holder { number, verb, yields: None });
        Ok(Busy { claims: self.clone(), number })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Busy {
    /// From here on this verb only waits: the token is cancelled when the right is taken from it.
    pub(super) fn yields(&self) -> CancellationToken {
        let token = CancellationToken::new();
        match self.own(&mut self.claims.lock()) {
            Some(holder) => holder.yields = Some(token.clone()),
            None => token.cancel(),
        }
        token
    }

    /// The waiting is over: nobody can take the right any more.
    ///
    /// # Errors
    /// Somebody has.
    pub(super) fn insist(&self) -> Result<(), ApiError> {
        match self.own(&mut self.claims.lock()) {
            Some(holder) => {
                holder.yields = None;
                Ok(())
            }
            None => Err(taken()),
        }
    }

    fn own<'a>(&self, state: &'a mut State) -> Option<&'a mut Holder> {
        state.holder.as_mut().filter(|holder| holder.number == self.number)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.claims.lock();
        if self.own(&mut state).is_some() {
            state.holder = None;
            drop(state);
            self.claims.0.freed.notify_waiters();
        }
    }
}

/// What a verb ends with whose right was taken.
pub(super) fn taken() -> ApiError {
    ApiError::bad_request("The instance was stopped by force meanwhile")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_verb_at_a_time() {
        let claims = Claims::default();
        let first = claims.claim("start").ok().unwrap();
        let refused = claims.claim("stop").err().unwrap();
        assert_eq!(refused.message, "Instance is busy running a \"start\" operation");
        assert!(claims.claim_by_force("stop").is_err(), "it is at work, not waiting");
        drop(first);
        assert!(claims.claim("stop").is_ok());
    }

    #[test]
    fn force_takes_it_from_one_that_waits_and_it_is_never_given_back() {
        let claims = Claims::default();
        let restart = claims.claim("restart").ok().unwrap();
        let overruled = restart.yields();
        assert!(claims.claim("stop").is_err());
        let stop = claims.claim_by_force("stop").ok().unwrap();
        assert!(overruled.is_cancelled());
        assert!(restart.insist().is_err());
        drop(restart); // does not free what is another's now
        assert_eq!(claims.holder(), Some("stop"));
        drop(stop);
        assert_eq!(claims.holder(), None);
    }

    #[test]
    fn one_that_has_stopped_waiting_cannot_be_overruled() {
        let claims = Claims::default();
        let restart = claims.claim("restart").ok().unwrap();
        restart.yields();
        restart.insist().unwrap();
        assert!(claims.claim_by_force("stop").is_err());
    }

    #[tokio::test]
    async fn nobody_gets_one_that_is_gone() {
        let claims = Claims::default();
        let deletion = claims.claim("delete").ok().unwrap();
        let waiting = tokio::spawn({
            let claims = claims.clone();
            async move { claims.claim_when_free("start").await.is_err() }
        });
        tokio::task::yield_now().await;
        claims.close();
        drop(deletion);
        assert!(tokio::time::timeout(std::time::Duration::from_secs(5), waiting).await.unwrap().unwrap());
        assert_eq!(claims.claim_by_force("stop").err().unwrap().message, "Instance not found");
    }

    #[tokio::test]
    async fn who_waits_gets_it_when_it_is_free() {
        let claims = Claims::default();
        let first = claims.claim("update").ok().unwrap();
        let waiting = tokio::spawn({
            let claims = claims.clone();
            async move { claims.claim_when_free("start").await.is_ok() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(tokio::time::timeout(std::time::Duration::from_secs(5), waiting).await.unwrap().unwrap());
    }
}
