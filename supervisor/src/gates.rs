//! Who may work at a site now: any number of plans that make and delete there, or the one task that collects.
//!
//! A collector must see what hulld knows and what is there at one moment; something made but not yet written down would
//! look like rubbish to it. It never waits at a gate, so nobody ever waits behind it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hull_plugin::PoolName;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// How often, and how long apart, a collector tries to be alone: a minute. The next start of the driver is another chance.
const TRIES: u32 = 300;
const PAUSE: Duration = Duration::from_millis(200);

/// Where a plan makes or deletes something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Site {
    Pool(PoolName),
    /// All networks and NICs.
    Networks,
}

#[derive(Default)]
pub(crate) struct Gates {
    locks: Mutex<BTreeMap<Site, Arc<RwLock<()>>>>,
}

/// Held while something is made or deleted.
pub(crate) struct Inside(#[allow(dead_code)] Vec<OwnedRwLockReadGuard<()>>); // for its Drop

/// Held while rubbish is collected.
pub(crate) struct Alone(#[allow(dead_code)] OwnedRwLockWriteGuard<()>); // for its Drop

impl Gates {
    pub(crate) async fn enter(&self, sites: impl IntoIterator<Item = Site>) -> Inside {
        let mut held = Vec::new();
        for site in sites {
            held.push(self.lock(site).read_owned().await);
        }
        Inside(held)
    }

    /// `None`: somebody is at work there.
    pub(crate) fn try_alone(&self, site: Site) -> Option<Alone> {
        self.lock(site).try_write_owned().ok().map(Alone)
    }

    /// Waits for a moment when nobody is at work there; `None` if none comes.
    pub(crate) async fn alone(&self, site: &Site) -> Option<Alone> {
        for _ in 0..TRIES {
            if let Some(alone) = self.try_alone(site.clone()) {
                return Some(alone);
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }

    fn lock(&self, site: Site) -> Arc<RwLock<()>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).entry(site).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_collector_is_alone_at_its_site_and_holds_up_no_other() {
        let gates = Gates::default();
        let pool = |name: &str| Site::Pool(PoolName::new(name).unwrap());
        let making = gates.enter([pool("a"), Site::Networks]).await;
        assert!(gates.try_alone(pool("a")).is_none());
        let nested = gates.enter([pool("a")]).await; // a plan within a plan
        let alone = gates.try_alone(pool("b"));
        assert!(alone.is_some());
        drop((making, nested));
        assert!(gates.try_alone(pool("a")).is_some() && gates.try_alone(Site::Networks).is_some());
        assert!(gates.try_alone(pool("b")).is_none());
    }
}
