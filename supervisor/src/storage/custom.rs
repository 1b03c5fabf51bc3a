//! Custom volumes: those that users make, rename and delete themselves.

use chrono::Utc;
use hull_api::StorageVolumesPost;
use hull_plugin::storage::{ContentKind, NewVolume, VolumeSource};
use hull_plugin::{Code, OperationId, VolumeName};
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use super::model::{Pool, VolumeRow, custom_name};
use super::{removal, store, validate};
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::plans::{self, AfterCrash, Plan};
use crate::recovery::Noun;
use crate::used_by;

pub(super) async fn create(hull: &Hull, pool: &Pool, post: StorageVolumesPost) -> Result<(), ApiError> {
    let name = custom_name(&post.name)?;
    if !matches!(post.source.kind.as_str(), "" | "none") {
        return Err(ApiError::bad_request(format!(
            "Volumes cannot be made from a source of type {:?} yet",
            post.source.kind
        )));
    }
    let content = match post.content_type.as_str() {
        "" | "filesystem" => "filesystem",
        "block" => "block",
        other => return Err(ApiError::bad_request(format!("Invalid volume content type name: {other:?}"))),
    };
    hull.recovery.through(Noun::Storage).await;
    let _changing = hull.storage.changing(pool.name.as_str()).await?;
    plans::settle_about(hull, &[pool.url()]).await?; // whose deletion may have been cut
    if hull.storage.volume(&pool.name, &name).is_some() {
        return Err(ApiError::conflict("Volume by that name already exists"));
    }
    let mut config = post.config;
    config.retain(|_, value| !value.is_empty());
    let handle = hull.storage.handle(hull, pool).await?;
    let driver = handle.describe().await?;
    if content == "block" && !driver.can("block_volumes") {
        return Err(ApiError::bad_request(format!("Storage driver \"{}\" has no block volumes", pool.driver)));
    }
    validate::volume(&driver, &post.name, &config)?;
    let row = VolumeRow {
        pool: pool.name.clone(),
        name,
        content: content.to_owned(),
        description: post.description,
        config,
        created_at: Utc::now().timestamp(),
    };
    plans::execute(CreateVolume { row, foreign: false }, hull, &OperationId::random()).await
}

pub(super) async fn rename(hull: &Hull, pool: &Pool, from: &VolumeName, to: &str) -> Result<String, ApiError> {
    let to = custom_name(to)?;
    hull.recovery.through(Noun::Storage).await;
    let _changing = hull.storage.changing(pool.name.as_str()).await?;
    let old = existing(hull, pool, from)?;
    if hull.storage.volume(&pool.name, &to).is_some() {
        return Err(ApiError::conflict("Volume by that name already exists"));
    }
    unused(hull, pool, from)?;
    let row = VolumeRow { name: to.clone(), ..(*old).clone() };
    let url = row.url();
    plans::execute(RenameVolume { from: from.clone(), row }, hull, &OperationId::random()).await?;
    Ok(url)
}

pub(super) async fn delete(hull: &Hull, pool: &Pool, name: &VolumeName) -> Result<(), ApiError> {
    hull.recovery.through(Noun::Storage).await;
    let _changing = hull.storage.changing(pool.name.as_str()).await?;
    let row = existing(hull, pool, name)?;
    unused(hull, pool, name)?;
    plans::execute(DeleteVolume { row: (*row).clone() }, hull, &OperationId::random()).await
}

fn existing(hull: &Hull, pool: &Pool, name: &VolumeName) -> Result<std::sync::Arc<VolumeRow>, ApiError> {
    hull.storage.volume(&pool.name, name).ok_or_else(|| ApiError::not_found("Storage pool volume not found"))
}

fn unused(hull: &Hull, pool: &Pool, name: &VolumeName) -> Result<(), ApiError> {
    match used_by::custom_volume(hull, &pool.name, name.parts().1).is_empty() {
        true => Ok(()),
        false => Err(ApiError::bad_request("Volume is still in use")),
    }
}

/// Makes an empty custom volume.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct CreateVolume {
    row: VolumeRow,
    /// The volume's name is taken by one that Hull does not know: not ours to remove.
    #[serde(skip)]
    foreign: bool,
}

/// Deletes a volume that nothing uses.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct DeleteVolume {
    row: VolumeRow,
}

/// Gives a volume another name.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct RenameVolume {
    from: VolumeName,
    row: VolumeRow,
}

impl Plan for CreateVolume {
    const KIND: &'static str = "create-volume";
    const STEPS: &'static [&'static str] = &["volume"];
    const AFTER_CRASH: AfterCrash = AfterCrash::Undo;

    fn sites(&self) -> Vec<Site> {
        vec![Site::Pool(self.row.pool.clone())]
    }

    fn objects(&self) -> Vec<String> {
        vec![self.row.url()]
    }

    async fn run(&mut self, _: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        let pool = hull.storage.pool(&self.row.pool)?;
        let content = if self.row.content == "block" { ContentKind::Block } else { ContentKind::FileSystem };
        let config = self.row.config.clone();
        let volume = NewVolume { name: self.row.name.clone(), content, config, source: VolumeSource::Empty };
        let made = hull.storage.handle(hull, &pool).await?.create_volume(operation, &volume).await;
        self.foreign = made.as_ref().is_err_and(|error| error.code == Code::AlreadyExists);
        Ok(made.map(drop)?)
    }

    async fn undo(&mut self, _: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        if self.foreign {
            return Ok(());
        }
        removal::unmake_volume(hull, &self.row.pool, &self.row.name, operation).await
    }

    fn commit(&self, tx: &Transaction) -> rusqlite::Result<()> {
        store::insert_volume(tx, &self.row)
    }

    fn published(self, hull: &Hull) {
        let url = self.row.url();
        hull.storage.volume_added(self.row);
        hull.events.lifecycle("storage-volume-created", &url);
    }
}

impl Plan for DeleteVolume {
    const KIND: &'static str = "delete-volume";
    const STEPS: &'static [&'static str] = &["volume"];
    const AFTER_CRASH: AfterCrash = AfterCrash::Finish;

    fn sites(&self) -> Vec<Site> {
        vec![Site::Pool(self.row.pool.clone())]
    }

    fn objects(&self) -> Vec<String> {
        vec![self.row.url()]
    }

    async fn run(&mut self, _: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        removal::remove_volume(hull, &self.row.pool, &self.row.name, operation).await
    }

    async fn undo(&mut self, _: &str, _: &Hull, _: &OperationId) -> Result<(), ApiError> {
        Ok(()) // finished after a crash, never undone
    }

    fn commit(&self, tx: &Transaction) -> rusqlite::Result<()> {
        store::delete_volume(tx, &self.row.pool, &self.row.name)
    }

    fn published(self, hull: &Hull) {
        hull.storage.volume_removed(&self.row.pool, &self.row.name);
        hull.events.lifecycle("storage-volume-deleted", &self.row.url());
    }
}

impl Plan for RenameVolume {
    const KIND: &'static str = "rename-volume";
    const STEPS: &'static [&'static str] = &["volume"];
    const AFTER_CRASH: AfterCrash = AfterCrash::Undo;

    fn sites(&self) -> Vec<Site> {
        vec![Site::Pool(self.row.pool.clone())]
    }

    fn objects(&self) -> Vec<String> {
        vec![VolumeRow { name: self.from.clone(), ..self.row.clone() }.url(), self.row.url()]
    }

    async fn run(&mut self, _: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        let pool = hull.storage.pool(&self.row.pool)?;
        Ok(hull.storage.handle(hull, &pool).await?.rename_volume(operation, &self.from, &self.row.name).await?)
    }

    async fn undo(&mut self, _: &str, hull: &Hull, _: &OperationId) -> Result<(), ApiError> {
        removal::rename_back(hull, &self.row.pool, &self.row.name, &self.from).await
    }

    fn commit(&self, tx: &Transaction) -> rusqlite::Result<()> {
        store::rename_volume(tx, &self.row.pool, &self.from, &self.row.name)
    }

    fn published(self, hull: &Hull) {
        hull.storage.volume_renamed(&self.row.pool, &self.from, &self.row.name);
        let context = serde_json::json!({"old_name": self.from.parts().1});
        hull.events.lifecycle_with("storage-volume-renamed", &self.row.url(), context);
    }
}
