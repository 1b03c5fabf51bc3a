//! Deleting a pool that nothing uses. Volumes of images go with it: they are copies of what the images are.

use hull_plugin::{Code, OperationId};
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use super::create::{self, Place};
use super::model::Pool;
use super::{mount, removal, store};
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::look;
use crate::plans::{self, AfterCrash, Plan};
use crate::recovery::Noun;
use crate::used_by;

pub(super) async fn delete(hull: &Hull, name: &str) -> Result<(), ApiError> {
    hull.recovery.through(Noun::Storage).await;
    let _changing = hull.storage.changing(name).await?;
    let pool = hull.storage.by_text(name)?;
    let in_use = || ApiError::bad_request("The storage pool is currently in use");
    // First: an instance that is made a moment later is in the records by then, or waits.
    let _deleting = hull.storage.deleting(&pool.name).ok_or_else(in_use)?;
    if used_by::pool(hull, &pool.name).iter().any(|url| !url.starts_with("/1.0/images/")) {
        return Err(in_use());
    }
    let own = mount::source(hull, &pool) == mount::default_source(hull, &pool.name);
    let place = if own { Place::Own } else { Place::Given };
    plans::execute(DeletePool { pool: (*pool).clone(), place }, hull, &OperationId::random()).await
}

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct DeletePool {
    pool: Pool,
    place: Place,
}

impl Plan for DeletePool {
    const KIND: &'static str = "delete-pool";
    const STEPS: &'static [&'static str] = &["volumes", "pool", "directory"];
    const AFTER_CRASH: AfterCrash = AfterCrash::Finish;

    fn sites(&self) -> Vec<Site> {
        vec![Site::Pool(self.pool.name.clone())]
    }

    fn objects(&self) -> Vec<String> {
        vec![self.pool.url()]
    }

    async fn run(&mut self, step: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        if step == "directory" {
            hull.plugins.end_pool(&self.pool.driver, &self.pool.name).await;
            // The pool is gone: an empty directory that stays is no reason to keep it in the records.
            if let Err(error) = create::remove_directory(hull, &self.pool, self.place) {
                tracing::warn!(pool = %self.pool.name, %error, "the directory of a deleted pool stays");
            }
            return Ok(());
        }
        if !look::exists(&mount::source(hull, &self.pool)).await {
            return Ok(()); // its place is gone: nothing is left to delete there
        }
        if step == "volumes" {
            // One by one: an image whose copy went before a failure is unpacked again when it is needed.
            for volume in hull.storage.volumes(&self.pool.name) {
                removal::remove_recorded(hull, &self.pool.name, &volume.name, operation).await?;
            }
            return Ok(());
        }
        match hull.storage.handle(hull, &self.pool).await?.delete_pool(operation, &self.pool.name).await {
            Err(error) if error.code == Code::NotFound => Ok(()),
            other => Ok(other?),
        }
    }

    async fn undo(&mut self, _: &str, _: &Hull, _: &OperationId) -> Result<(), ApiError> {
        Ok(()) // finished after a crash, never undone
    }

    fn commit(&self, tx: &Transaction) -> rusqlite::Result<()> {
        store::delete_pool(tx, &self.pool.name)
    }

    fn published(self, hull: &Hull) {
        hull.storage.withdraw(&self.pool.name);
        hull.warnings.forget(&self.pool.url());
        hull.events.lifecycle("storage-pool-deleted", &self.pool.url());
    }
}
