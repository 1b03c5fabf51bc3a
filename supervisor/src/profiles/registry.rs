//! All profiles in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::model::{Profile, ProfileName};
use super::store;
use crate::api::ApiError;
use crate::state::{Database, StateError};

pub(crate) struct Profiles {
    all: RwLock<BTreeMap<String, Arc<Profile>>>,
    /// One change at a time, from check to publication.
    pub(super) changing: tokio::sync::Mutex<()>,
}

impl Profiles {
    pub(crate) fn load(database: &Database) -> Result<Self, StateError> {
        let all = store::all(database)?.into_iter().map(|one| (one.name.to_string(), Arc::new(one))).collect();
        Ok(Self { all: RwLock::new(all), changing: tokio::sync::Mutex::new(()) })
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Profile>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn get(&self, name: &str) -> Result<Arc<Profile>, ApiError> {
        self.find(name).ok_or_else(|| ApiError::not_found("Profile not found"))
    }

    /// Every profile, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Profile>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn publish(&self, profile: Profile) {
        self.all.write().unwrap_or_else(PoisonError::into_inner).insert(profile.name.to_string(), Arc::new(profile));
    }

    pub(super) fn withdraw(&self, name: &ProfileName) {
        self.all.write().unwrap_or_else(PoisonError::into_inner).remove(name.as_str());
    }
}
