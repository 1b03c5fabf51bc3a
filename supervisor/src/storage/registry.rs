//! All pools and volumes in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hull_plugin::{PoolName, VolumeName};
use hull_sys::identity::Identity;
use tokio::sync::OwnedMutexGuard;

use super::model::{Pool, VolumeRow};
use super::store;
use crate::api::ApiError;
use crate::gates::{Alone, Gates, Inside, Site};
use crate::hull::Hull;
use crate::keyed::KeyedLocks;
use crate::plans;
use crate::state::{Database, StateError};

/// Changes of one pool that run or wait.
const MOST_CHANGES: usize = 64;

pub(crate) struct Storage {
    known: RwLock<Known>,
    /// Pools whose process may still hold a directory that is gone.
    pub(super) deleted: Mutex<BTreeSet<PoolName>>,
    /// Which directory was at each pool's place when it was last used.
    pub(super) places: Mutex<BTreeMap<PoolName, Identity>>,
    /// Pools whose directory was not there when it was looked for.
    pub(super) absent: Mutex<BTreeSet<PoolName>>,
    /// Where pools are being made: no two in the same place.
    pub(super) reserved: Mutex<BTreeSet<PathBuf>>,
    /// One change of a pool, or of a custom volume in it, at a time, from check to publication.
    changing: KeyedLocks,
    /// In which pools instances are being made, which no record says yet; alone there is who deletes the pool.
    makers: Gates,
}

#[derive(Default)]
struct Known {
    pools: BTreeMap<String, Arc<Pool>>,
    volumes: BTreeMap<PoolName, BTreeMap<VolumeName, Arc<VolumeRow>>>,
}

impl Storage {
    pub(crate) fn load(database: &Database) -> Result<Self, StateError> {
        let mut known = Known::default();
        for pool in store::all_pools(database)? {
            known.pools.insert(pool.name.to_string(), Arc::new(pool));
        }
        for volume in store::all_volumes(database)? {
            known.insert(volume);
        }
        Ok(Self {
            known: RwLock::new(known),
            deleted: Mutex::default(),
            places: Mutex::default(),
            absent: Mutex::default(),
            reserved: Mutex::default(),
            changing: KeyedLocks::default(),
            makers: Gates::default(),
        })
    }

    /// The right to change a pool and its custom volumes. A slow pool keeps nobody from the others.
    ///
    /// # Errors
    /// Too many wait for it already.
    pub(super) async fn changing(&self, pool: &str) -> Result<OwnedMutexGuard<()>, ApiError> {
        self.changing.lock_among(pool, MOST_CHANGES).await.ok_or_else(|| {
            ApiError::overloaded(format!(
                "storage pool \"{pool}\" is busy: {MOST_CHANGES} changes of it or its volumes wait; try again in a moment"
            ))
        })
    }

    /// The pool counts as used until this is dropped. Waits while it is being deleted, and then it is gone.
    ///
    /// # Errors
    /// Its deletion was cut and cannot be finished yet.
    pub(crate) async fn making(&self, hull: &Hull, pool: &PoolName) -> Result<Inside, ApiError> {
        let inside = self.makers.enter([Site::Pool(pool.clone())]).await;
        if let Some(pool) = self.find(pool.as_str()) {
            plans::settle_about(hull, &[pool.url()]).await?;
        }
        Ok(inside)
    }

    /// Nobody begins to make anything in the pool until this is dropped; `None`: somebody has.
    pub(super) fn deleting(&self, pool: &PoolName) -> Option<Alone> {
        self.makers.try_alone(Site::Pool(pool.clone()))
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Pool>> {
        self.read().pools.get(name).cloned()
    }

    pub(crate) fn pool(&self, name: &PoolName) -> Result<Arc<Pool>, ApiError> {
        self.by_text(name.as_str())
    }

    /// By what a URL says; an impossible name is not found rather than invalid.
    pub(crate) fn by_text(&self, name: &str) -> Result<Arc<Pool>, ApiError> {
        self.find(name).ok_or_else(|| ApiError::not_found("Storage pool not found"))
    }

    /// Every pool, by name.
    pub(crate) fn pools(&self) -> Vec<Arc<Pool>> {
        self.read().pools.values().cloned().collect()
    }

    /// The volumes of a pool, by name.
    pub(crate) fn volumes(&self, pool: &PoolName) -> Vec<Arc<VolumeRow>> {
        self.read().volumes.get(pool).into_iter().flat_map(|volumes| volumes.values().cloned()).collect()
    }

    pub(crate) fn volume(&self, pool: &PoolName, name: &VolumeName) -> Option<Arc<VolumeRow>> {
        self.read().volumes.get(pool)?.get(name).cloned()
    }

    /// After the transaction with [`super::insert_volume`].
    pub(crate) fn volume_added(&self, volume: VolumeRow) {
        self.write().insert(volume);
    }

    /// After the transaction with [`super::delete_volume`].
    pub(crate) fn volume_removed(&self, pool: &PoolName, name: &VolumeName) {
        if let Some(volumes) = self.write().volumes.get_mut(pool) {
            volumes.remove(name);
        }
    }

    /// After the transaction with [`super::rename_volume`].
    pub(crate) fn volume_renamed(&self, pool: &PoolName, from: &VolumeName, to: &VolumeName) {
        let mut known = self.write();
        if let Some(volume) = known.volumes.get_mut(pool).and_then(|volumes| volumes.remove(from)) {
            known.insert(VolumeRow { name: to.clone(), ..(*volume).clone() });
        }
    }

    pub(super) fn publish(&self, pool: Pool) {
        self.write().pools.insert(pool.name.to_string(), Arc::new(pool));
    }

    pub(super) fn withdraw(&self, pool: &PoolName) {
        let mut known = self.write();
        known.pools.remove(pool.as_str());
        known.volumes.remove(pool);
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn insert(&mut self, volume: VolumeRow) {
        self.volumes.entry(volume.pool.clone()).or_default().insert(volume.name.clone(), Arc::new(volume));
    }
}
