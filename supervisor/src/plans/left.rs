//! What plans left open: those that a restart has cut, and those whose end failed.
//!
//! ```text
//! cut, or not undone, or not written down ─▶ left ─ settled: by who takes it up, or by the next plan about the same object
//! ```
//! Invariant: nothing newer of an object is made or deleted before what is left of it is settled, so that an undo never
//! meets a newer object of the same name. Instances are kept from everybody else by their own guards instead.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;

use crate::api::ApiError;
use crate::hull::Hull;
use crate::recovery;
use crate::state::Entry;

/// Every plan that is left, oldest first.
#[derive(Default)]
pub(crate) struct Leftovers(Mutex<Vec<Arc<Leftover>>>);

/// A plan that has to be undone or finished.
pub(crate) struct Leftover {
    pub(crate) entry: Entry,
    /// URLs.
    objects: Vec<String>,
    /// One settles it at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Leftovers {
    pub(crate) fn add(&self, entry: Entry, objects: Vec<String>) -> Arc<Leftover> {
        let left = Arc::new(Leftover { entry, objects, turn: tokio::sync::Mutex::default() });
        self.all().push(left.clone());
        left
    }

    fn about(&self, objects: &[String]) -> Vec<Arc<Leftover>> {
        let shares = |left: &&Arc<Leftover>| left.objects.iter().any(|object| objects.contains(object));
        self.all().iter().filter(shares).cloned().collect()
    }

    fn is_open(&self, left: &Leftover) -> bool {
        self.all().iter().any(|one| std::ptr::eq(one.as_ref(), left))
    }

    fn remove(&self, left: &Leftover) {
        self.all().retain(|one| !std::ptr::eq(one.as_ref(), left));
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Leftover>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Settles what is left about any of the objects. The caller has the right to change them.
///
/// # Errors
/// It cannot be settled now: nothing newer may be begun.
pub(crate) async fn settle_about(hull: &Hull, objects: &[String]) -> Result<(), ApiError> {
    for left in hull.leftovers.about(objects) {
        settle(hull, &left).await.map_err(|error| {
            let message = "an earlier change that failed or was cut cannot be brought to its end yet";
            error.context(format!("{message} (\"{}\")", left.entry.kind))
        })?;
    }
    Ok(())
}

/// Undoes or finishes a plan, unless somebody else has.
pub(crate) async fn settle(hull: &Hull, left: &Leftover) -> Result<(), ApiError> {
    let _turn = left.turn.lock().await;
    if !hull.leftovers.is_open(left) {
        return Ok(());
    }
    resumed(hull, left).await?;
    hull.leftovers.remove(left);
    Ok(())
}

/// Of any kind; boxed, as plans run plans.
fn resumed<'a>(hull: &'a Hull, left: &'a Leftover) -> BoxFuture<'a, Result<(), ApiError>> {
    Box::pin(recovery::resume(&left.entry, hull))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_found_by_any_of_its_objects_until_it_is_settled() {
        let leftovers = Leftovers::default();
        let entry = |operation: &str| Entry { operation: operation.into(), kind: "k".into(), plan: "{}".into() };
        let urls = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
        let first = leftovers.add(entry("1"), urls(&["/a", "/b"]));
        let second = leftovers.add(entry("2"), urls(&["/b"]));
        leftovers.add(entry("3"), Vec::new()); // an instance's
        let found = |of: &[&str]| {
            leftovers.about(&urls(of)).iter().map(|left| left.entry.operation.clone()).collect::<Vec<_>>()
        };
        assert_eq!(found(&["/b"]), ["1", "2"], "the oldest first");
        assert_eq!(found(&["/a", "/c"]), ["1"]);
        assert_eq!(found(&["/c"]), Vec::<String>::new());
        assert_eq!(found(&[]), Vec::<String>::new());

        leftovers.remove(&first);
        assert!(!leftovers.is_open(&first) && leftovers.is_open(&second));
        assert_eq!(found(&["/a", "/b"]), ["2"]);
    }
}
