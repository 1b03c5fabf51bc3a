//! All managed networks in memory, with the state each is in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hull_plugin::NetworkName;

use super::model::{Network, Status};
use super::store;
use crate::api::ApiError;
use crate::keyed::KeyedLocks;
use crate::state::{Database, StateError};

pub(crate) struct Networks {
    all: RwLock<BTreeMap<String, (Arc<Network>, Status)>>,
    /// Each is brought up, changed or deleted by one at a time. Taken before `changing`.
    hands: KeyedLocks,
    /// One change a driver at a time, from check to publication: `auto` addresses must not be given twice.
    changing: KeyedLocks,
    /// The host's interfaces as a driver listed them last.
    seen: Mutex<Vec<(String, String)>>,
}

impl Networks {
    pub(crate) fn load(database: &Database) -> Result<Self, StateError> {
        let entry = |network: Network| (network.name.to_string(), (Arc::new(network), Status::Pending));
        let all = store::all(database)?.into_iter().map(entry).collect();
        Ok(Self {
            all: RwLock::new(all),
            hands: KeyedLocks::default(),
            changing: KeyedLocks::default(),
            seen: Mutex::default(),
        })
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Network>> {
        self.read().get(name).map(|(network, _)| network.clone())
    }

    pub(crate) fn get(&self, name: &str) -> Result<Arc<Network>, ApiError> {
        self.find(name).ok_or_else(|| ApiError::not_found("Network not found"))
    }

    /// Nobody else makes, changes or deletes the network, whether it is there or not, until this is dropped.
    pub(super) async fn in_hand(&self, name: &str) -> tokio::sync::OwnedMutexGuard<()> {
        self.hands.lock(name).await
    }

    /// Nobody else changes which networks the driver has, and how, until this is dropped.
    pub(super) async fn changing(&self, driver: &str) -> tokio::sync::OwnedMutexGuard<()> {
        self.changing.lock(driver).await
    }

    pub(super) fn saw(&self, interfaces: &[(String, String)]) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = interfaces.to_vec();
    }

    pub(super) fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The handles of one driver's networks.
    pub(crate) fn handles(&self, driver: &str) -> Vec<hull_plugin::StoredHandle> {
        let of_driver = self.all().into_iter().filter(|network| network.driver == driver);
        let stored = |network: Arc<Network>| {
            Some(hull_plugin::StoredHandle { object: network.name.to_string(), handle: network.handle.clone()? })
        };
        of_driver.filter_map(stored).collect()
    }

    /// Every managed network, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Network>> {
        self.read().values().map(|(network, _)| network.clone()).collect()
    }

    /// Those that networks name, installed or not.
    pub(crate) fn drivers(&self) -> std::collections::BTreeSet<String> {
        self.all().iter().map(|network| network.driver.clone()).collect()
    }

    /// Why each network is not up; `None` for those that are, or are being brought up.
    pub(crate) fn complaints(&self) -> Vec<(String, Option<String>)> {
        let complaint = |status: &Status| match status {
            Status::Unavailable { why } => Some(why.clone()),
            Status::Pending | Status::Created => None,
        };
        self.read().iter().map(|(name, (_, status))| (name.clone(), complaint(status))).collect()
    }

    pub(super) fn status(&self, name: &str) -> Status {
        self.read().get(name).map_or(Status::Pending, |(_, status)| status.clone())
    }

    pub(super) fn publish(&self, network: Network, status: Status) {
        self.write().insert(network.name.to_string(), (Arc::new(network), status));
    }

    pub(super) fn set_status(&self, name: &NetworkName, status: Status) {
        if let Some(entry) = self.write().get_mut(name.as_str()) {
            entry.1 = status;
        }
    }

    pub(super) fn withdraw(&self, name: &NetworkName) {
        self.write().remove(name.as_str());
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, (Arc<Network>, Status)>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, (Arc<Network>, Status)>> {
        self.all.write().unwrap_or_else(PoisonError::into_inner)
    }
}
