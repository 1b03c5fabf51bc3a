//! One change at a time on a volume; any number of readers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use hull_plugin::VolumeName;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

#[derive(Default)]
pub(crate) struct Locks(RefCell<BTreeMap<VolumeName, Weak<RwLock<()>>>>);

/// Held while a volume is changed or read.
pub(crate) enum Guard {
    Change(#[allow(dead_code)] OwnedRwLockWriteGuard<()>), // held for its Drop
    Read(#[allow(dead_code)] OwnedRwLockReadGuard<()>),    // held for its Drop
}

impl Locks {
    pub(crate) async fn change(&self, volume: &VolumeName) -> Guard {
        Guard::Change(self.lock(volume).write_owned().await)
    }

    pub(crate) async fn read(&self, volume: &VolumeName) -> Guard {
        Guard::Read(self.lock(volume).read_owned().await)
    }

    /// Two volumes of one step, in an order that two such steps cannot block each other by.
    pub(crate) async fn both(&self, changed: &VolumeName, other: (&VolumeName, Access)) -> [Guard; 2] {
        let (other, access) = other;
        if changed < other {
            let first = self.change(changed).await;
            return [first, self.take(other, access).await];
        }
        let first = self.take(other, access).await;
        [first, self.change(changed).await]
    }

    async fn take(&self, volume: &VolumeName, access: Access) -> Guard {
        match access {
            Access::Change => self.change(volume).await,
            Access::Read => self.read(volume).await,
        }
    }

    fn lock(&self, volume: &VolumeName) -> Arc<RwLock<()>> {
        let mut locks = self.0.borrow_mut();
        if let Some(lock) = locks.get(volume).and_then(Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(RwLock::new(()));
        locks.insert(volume.clone(), Arc::downgrade(&lock));
        lock
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    Change,
    Read,
}
