//! Deleting an instance that does not run. What is deleted cannot come back: after a crash the plan is finished.

use std::sync::Arc;

use hull_plugin::OperationId;
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use super::model::Record;
use super::registry::Entry;
use super::{expand, store, validate};
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::plans::{self, AfterCrash, Plan};

/// The caller holds the instance's [`super::busy::Busy`].
pub(super) async fn delete(hull: &Hull, entry: &Arc<Entry>, operation: &OperationId) -> Result<(), ApiError> {
    check(hull, entry)?;
    delete_ended(hull, entry, operation).await
}

/// The same for what follows the end of an ephemeral instance, before it counts as stopped: that it is protected from deletion
/// is not meant for that.
pub(super) async fn delete_ended(hull: &Hull, entry: &Arc<Entry>, operation: &OperationId) -> Result<(), ApiError> {
    plans::execute(Delete { record: (*entry.record()).clone() }, hull, operation).await
}

/// What forbids it.
pub(super) fn check(hull: &Hull, entry: &Entry) -> Result<(), ApiError> {
    if entry.live().running().is_some() {
        return Err(ApiError::bad_request("Instance is running"));
    }
    check_protection(hull, entry)
}

fn check_protection(hull: &Hull, entry: &Entry) -> Result<(), ApiError> {
    let (config, _) = expand::expand(hull, &entry.record());
    let protected = config.get("security.protection.delete").and_then(|value| validate::parse_boolean(value));
    if protected == Some(true) {
        return Err(ApiError::bad_request("Container is protected"));
    }
    Ok(())
}

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Delete {
    pub(super) record: Record,
}

impl Plan for Delete {
    const KIND: &'static str = "delete-instance";
    const STEPS: &'static [&'static str] = &["volume"];
    const AFTER_CRASH: AfterCrash = AfterCrash::Finish;

    fn sites(&self) -> Vec<Site> {
        self.record.pool.iter().cloned().map(Site::Pool).collect()
    }

    async fn run(&mut self, _: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        let Some(pool) = &self.record.pool else { return Ok(()) };
        let Some(pool) = hull.storage.find(pool.as_str()) else { return Ok(()) }; // it took the volume along
        // A volume that is gone is `Ok`; what is not found is the pool, whose disk is not mounted.
        Ok(hull.storage.handle(hull, &pool).await?.delete_volume(operation, &self.record.name.volume()).await?)
    }

    /// Never called: a cut deletion is finished.
    async fn undo(&mut self, _: &str, _: &Hull, _: &OperationId) -> Result<(), ApiError> {
        Ok(())
    }

    fn commit(&self, tx: &Transaction) -> rusqlite::Result<()> {
        if let Some(pool) = &self.record.pool {
            crate::storage::delete_volume(tx, pool, &self.record.name.volume())?;
        }
        store::delete(tx, self.record.name.as_str())
    }

    fn published(self, hull: &Hull) {
        if let Some(pool) = &self.record.pool {
            hull.storage.volume_removed(pool, &self.record.name.volume());
        }
        super::logs::removed(hull, &self.record.name);
        hull.instances.remove(&self.record.name);
        hull.warnings.forget(&self.record.name.url());
        hull.events.lifecycle("instance-deleted", &self.record.name.url());
    }
}
