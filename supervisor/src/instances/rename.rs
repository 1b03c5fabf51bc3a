//! Renaming an instance that does not run.

use std::sync::Arc;

use hull_plugin::OperationId;
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use super::model::{InstanceName, Record};
use super::registry::Entry;
use super::store;
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::plans::{self, AfterCrash, Plan};

/// The caller holds the instance's [`super::registry::Busy`].
pub(super) async fn rename(
    hull: &Hull,
    entry: &Arc<Entry>,
    to: InstanceName,
    operation: &OperationId,
) -> Result<(), ApiError> {
    if entry.live().running().is_some() {
        return Err(ApiError::bad_request("Renaming of running container not allowed"));
    }
    let _reserved = hull.instances.reserve(&to)?;
    let mut renamed = (*entry.record()).clone();
    renamed.config.insert("volatile.cloud-init.instance-id".into(), uuid::Uuid::new_v4().to_string());
    let from = std::mem::replace(&mut renamed.name, to);
    plans::execute(Rename { from, renamed }, hull, operation).await
}

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Rename {
    pub(super) from: InstanceName,
    pub(super) renamed: Record,
}

impl Plan for Rename {
    const KIND: &'static str = "rename-instance";
    const STEPS: &'static [&'static str] = &["volume"];
    const AFTER_CRASH: AfterCrash = AfterCrash::Undo;

    fn sites(&self) -> Vec<Site> {
        self.renamed.pool.iter().cloned().map(Site::Pool).collect()
    }

    async fn run(&mut self, _: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        let Some(pool) = &self.renamed.pool else { return Ok(()) };
        let pool = hull.storage.pool(pool)?;
        let (from, to) = (self.from.volume(), self.renamed.name.volume());
        Ok(hull.storage.handle(hull, &pool).await?.rename_volume(operation, &from, &to).await?)
    }

    async fn undo(&mut self, _: &str, hull: &Hull, _: &OperationId) -> Result<(), ApiError> {
        let Some(pool) = &self.renamed.pool else { return Ok(()) };
        crate::storage::rename_back(hull, pool, &self.renamed.name.volume(), &self.from.volume()).await
    }

    fn commit(&self, tx: &Transaction) -> rusqlite::Result<()> {
        store::rename(tx, self.from.as_str(), self.renamed.name.as_str())?;
        store::update(tx, &self.renamed)?;
        match &self.renamed.pool {
            Some(pool) => crate::storage::rename_volume(tx, pool, &self.from.volume(), &self.renamed.name.volume()),
            None => Ok(()),
        }
    }

    fn published(self, hull: &Hull) {
        if let Some(pool) = &self.renamed.pool {
            hull.storage.volume_renamed(pool, &self.from.volume(), &self.renamed.name.volume());
        }
        super::logs::renamed(hull, &self.from, &self.renamed.name);
        hull.instances.remove(&self.from);
        let (url, old_name) = (self.renamed.name.url(), self.from.to_string());
        hull.instances.insert(self.renamed);
        hull.events.lifecycle_with("instance-renamed", &url, serde_json::json!({"old_name": old_name}));
    }
}
