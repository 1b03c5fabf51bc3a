//! Deleting an image: its volumes in all pools, its files, its record and aliases. Instances made from it do not need it.

use hull_plugin::{Fingerprint, OperationId, PoolName};
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use super::model::{Image, volume_of};
use super::store;
use super::unpack::{copy_url, unpacking};
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::plans::{self, AfterCrash, Plan};
use crate::recovery::Noun;
use crate::storage::remove_recorded;

pub(super) async fn delete(hull: &Hull, fingerprint: &Fingerprint) -> Result<(), ApiError> {
    hull.recovery.through(Noun::Images).await;
    let _flight = hull.images.flights.board(format!("image/{fingerprint}")).await;
    let image = hull.images.find(fingerprint).ok_or_else(|| ApiError::not_found("Image not found"))?;
    let pools: Vec<PoolName> = hull.storage.pools().into_iter().map(|pool| pool.name.clone()).collect();
    let mut unpacking_ends = Vec::new();
    for pool in &pools {
        unpacking_ends.push(hull.images.flights.board(unpacking(fingerprint, pool)).await);
    }
    let pools = pools.into_iter().filter(|pool| hull.storage.volume(pool, &image.volume()).is_some()).collect();
    plans::execute(DeleteImage { image: (*image).clone(), pools }, hull, &OperationId::random()).await
}

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct DeleteImage {
    image: Image,
    /// Those that have a volume of it.
    pools: Vec<PoolName>,
}

impl Plan for DeleteImage {
    const KIND: &'static str = "delete-image";
    const STEPS: &'static [&'static str] = &["volumes", "files"];
    const AFTER_CRASH: AfterCrash = AfterCrash::Finish;

    fn sites(&self) -> Vec<Site> {
        self.pools.iter().cloned().map(Site::Pool).collect()
    }

    fn objects(&self) -> Vec<String> {
        let copies = self.pools.iter().map(|pool| copy_url(&self.image.fingerprint, pool));
        copies.chain([self.image.url()]).collect()
    }

    async fn run(&mut self, step: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        if step == "files" {
            return Ok(hull.images.directory.remove(&self.image.fingerprint)?);
        }
        for pool in &self.pools {
            // One by one: if another pool fails, the image stays whole, and is unpacked here again when it is needed.
            remove_recorded(hull, pool, &self.image.volume(), operation).await?;
        }
        Ok(())
    }

    async fn undo(&mut self, _: &str, _: &Hull, _: &OperationId) -> Result<(), ApiError> {
        Ok(()) // finished after a crash, never undone
    }

    fn commit(&self, tx: &Transaction) -> rusqlite::Result<()> {
        let volume = volume_of(&self.image.fingerprint);
        self.pools.iter().try_for_each(|pool| crate::storage::delete_volume(tx, pool, &volume))?;
        store::delete(tx, &self.image.fingerprint)
    }

    fn published(self, hull: &Hull) {
        for pool in &self.pools {
            hull.storage.volume_removed(pool, &self.image.volume());
        }
        hull.images.withdraw(&self.image.fingerprint);
        hull.events.lifecycle("image-deleted", &self.image.url());
    }
}
