//! An image as a volume of a pool: unpacked once, copied by every instance made from it.

use chrono::Utc;
use hull_plugin::storage::{ContentKind, NewVolume, VolumeSource};
use hull_plugin::{ConfigMap, Fingerprint, OperationId, PoolName, VolumeName};
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use super::model::volume_of;
use super::progress::reported;
use super::registry::Images;
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::operations::Handle;
use crate::plans::{self, AfterCrash, Plan};
use crate::recovery::Noun;
use crate::storage::{VolumeRow, insert_volume, unmake_volume};

impl Images {
    /// The volume of the image in the pool, made by whoever needs it first. `operation` is the caller's, for progress.
    pub(crate) async fn ensure_unpacked(
        &self,
        hull: &Hull,
        pool: &PoolName,
        fingerprint: &Fingerprint,
        operation: &OperationId,
    ) -> Result<VolumeName, ApiError> {
        let volume = volume_of(fingerprint);
        if hull.storage.volume(pool, &volume).is_some() {
            return Ok(volume);
        }
        hull.recovery.through(Noun::Images).await;
        // One flight a pool: a slow one keeps nobody from unpacking the image elsewhere.
        let _flight = self.flights.board(unpacking(fingerprint, pool)).await;
        if hull.storage.volume(pool, &volume).is_some() {
            return Ok(volume);
        }
        if self.find(fingerprint).is_none() {
            return Err(ApiError::not_found("Image not found"));
        }
        let plan = UnpackImage {
            pool: pool.clone(),
            fingerprint: fingerprint.clone(),
            created_at: Utc::now().timestamp(),
            watched: hull.operations.handle(operation),
        };
        plans::execute(plan, hull, &OperationId::random()).await?;
        Ok(volume)
    }
}

/// What is boarded to make, or remove, the image's volume in a pool.
pub(super) fn unpacking(fingerprint: &Fingerprint, pool: &PoolName) -> String {
    format!("unpack/{pool}/{fingerprint}")
}

/// The image's volume in a pool.
pub(super) fn copy_url(fingerprint: &Fingerprint, pool: &PoolName) -> String {
    format!("/1.0/storage-pools/{pool}/volumes/image/{fingerprint}")
}

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct UnpackImage {
    pool: PoolName,
    fingerprint: Fingerprint,
    created_at: i64,
    /// Whose client sees the progress.
    #[serde(skip)]
    watched: Option<Handle>,
}

impl UnpackImage {
    fn row(&self) -> VolumeRow {
        VolumeRow {
            pool: self.pool.clone(),
            name: volume_of(&self.fingerprint),
            content: "filesystem".to_owned(),
            description: String::new(),
            config: ConfigMap::new(),
            created_at: self.created_at,
        }
    }
}

impl Plan for UnpackImage {
    const KIND: &'static str = "unpack-image";
    const STEPS: &'static [&'static str] = &["volume"];
    const AFTER_CRASH: AfterCrash = AfterCrash::Undo;

    fn sites(&self) -> Vec<Site> {
        vec![Site::Pool(self.pool.clone())]
    }

    fn objects(&self) -> Vec<String> {
        vec![copy_url(&self.fingerprint, &self.pool)]
    }

    async fn run(&mut self, _: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        let image = hull.images.find(&self.fingerprint).ok_or_else(|| ApiError::not_found("Image not found"))?;
        let pool = hull.storage.pool(&self.pool)?;
        let volume = NewVolume {
            name: volume_of(&self.fingerprint),
            content: ContentKind::FileSystem,
            config: ConfigMap::new(),
            source: VolumeSource::Image(hull.images.files(&image)?),
        };
        let driver = hull.storage.handle(hull, &pool).await?;
        let key = "create_instance_from_image_unpack_progress";
        reported(hull, operation, key, self.watched.as_ref(), driver.create_volume(operation, &volume)).await?;
        Ok(())
    }

    async fn undo(&mut self, _: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        unmake_volume(hull, &self.pool, &volume_of(&self.fingerprint), operation).await
    }

    fn commit(&self, tx: &Transaction) -> rusqlite::Result<()> {
        insert_volume(tx, &self.row())
    }

    fn published(self, hull: &Hull) {
        hull.storage.volume_added(self.row());
    }
}
