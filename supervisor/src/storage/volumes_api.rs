//! `/1.0/storage-pools/POOL/volumes`.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use chrono::DateTime;
use http::HeaderMap;
use hull_api::{StorageVolume, StorageVolumePost, StorageVolumePut, StorageVolumesPost, Timestamp};
use hull_plugin::VolumeName;
use serde_json::json;

use super::change::{self, Change, Patch};
use super::custom;
use super::model::{Pool, VolumeKind, VolumeRow};
use crate::api::{ApiError, Json, Reply, Scope, created, empty, sync, sync_tagged};
use crate::filter::Filter;
use crate::hull::Hull;
use crate::used_by;

pub(super) fn routes() -> Router<Hull> {
    Router::new()
        .route("/1.0/storage-pools/{pool}/volumes", get(list).post(make))
        .route("/1.0/storage-pools/{pool}/volumes/{kind}", get(list_kind).post(make_of_kind))
        .route(
            "/1.0/storage-pools/{pool}/volumes/{kind}/{name}",
            get(show).put(put).patch(patch).post(rename).delete(remove),
        )
        .route("/1.0/storage-pools/{pool}/volumes/{kind}/{name}/state", get(state))
        .route("/1.0/storage-pools/{pool}/volumes/{kind}/{name}/snapshots", get(none_yet))
        .route("/1.0/storage-pools/{pool}/volumes/{kind}/{name}/backups", get(none_yet))
}

async fn list(State(hull): State<Hull>, scope: Scope, Path(pool): Path<String>) -> Reply {
    listed(&hull, &scope, &pool, None)
}

async fn list_kind(State(hull): State<Hull>, scope: Scope, Path((pool, kind)): Path<(String, String)>) -> Reply {
    listed(&hull, &scope, &pool, Some(VolumeKind::parse(&kind)?))
}

fn listed(hull: &Hull, scope: &Scope, pool: &str, kind: Option<VolumeKind>) -> Reply {
    let pool = hull.storage.by_text(pool)?;
    scope.require_project_of_list("Failed loading project \"NAME\"")?;
    let mut volumes = hull.storage.volumes(&pool.name);
    volumes.retain(|volume| kind.is_none_or(|kind| volume.name.parts().0 == kind.word()));
    if let Some(filter) = Filter::parse(scope.value("filter"))? {
        volumes.retain(|volume| filter.matches(&rendered(hull, volume)));
    }
    if scope.recursion() == 0 {
        return sync(&volumes.iter().map(|volume| volume.url()).collect::<Vec<_>>());
    }
    sync(&volumes.iter().map(|volume| rendered(hull, volume)).collect::<Vec<_>>())
}

async fn make(
    State(hull): State<Hull>,
    scope: Scope,
    Path(pool): Path<String>,
    Json(post): Json<StorageVolumesPost>,
) -> Reply {
    if post.kind.is_empty() {
        return Err(ApiError::bad_request("You must provide a storage volume type of the storage volume"));
    }
    let kind = post.kind.clone();
    made(&hull, &scope, &pool, &kind, post).await
}

async fn make_of_kind(
    State(hull): State<Hull>,
    scope: Scope,
    Path((pool, kind)): Path<(String, String)>,
    Json(post): Json<StorageVolumesPost>,
) -> Reply {
    made(&hull, &scope, &pool, &kind, post).await
}

async fn made(hull: &Hull, scope: &Scope, pool: &str, kind: &str, post: StorageVolumesPost) -> Reply {
    scope.require_project()?;
    if kind != VolumeKind::Custom.word() {
        let message = format!("Currently not allowed to create storage volumes of type {kind:?}");
        return Err(ApiError::bad_request(message));
    }
    let pool = hull.storage.by_text(pool)?;
    custom::create(hull, &pool, post).await?;
    empty()
}

async fn show(State(hull): State<Hull>, scope: Scope, Path(path): Path<(String, String, String)>) -> Reply {
    scope.require_project()?;
    let (_, volume) = found(&hull, &path)?;
    sync_tagged(&rendered(&hull, &volume), &volume.writable())
}

async fn put(
    State(hull): State<Hull>,
    scope: Scope,
    Path(path): Path<(String, String, String)>,
    headers: HeaderMap,
    Json(put): Json<StorageVolumePut>,
) -> Reply {
    scope.require_project()?;
    let (pool, volume) = found(&hull, &path)?;
    change::volume(&hull, &pool, &volume.name, &headers, Change::Put(put)).await?;
    empty()
}

async fn patch(
    State(hull): State<Hull>,
    scope: Scope,
    Path(path): Path<(String, String, String)>,
    headers: HeaderMap,
    Json(patch): Json<Patch>,
) -> Reply {
    scope.require_project()?;
    let (pool, volume) = found(&hull, &path)?;
    change::volume(&hull, &pool, &volume.name, &headers, Change::Patch(patch)).await?;
    empty()
}

async fn rename(
    State(hull): State<Hull>,
    scope: Scope,
    Path(path): Path<(String, String, String)>,
    Json(post): Json<StorageVolumePost>,
) -> Reply {
    scope.require_project()?;
    let (pool, volume) = found(&hull, &path)?;
    own(&volume, "renamed")?;
    if post.migration || !post.pool.is_empty() && post.pool != pool.name.as_str() || !post.project.is_empty() {
        return Err(ApiError::bad_request("Volumes cannot be moved to another pool, project or server yet"));
    }
    created(&custom::rename(&hull, &pool, &volume.name, &post.name).await?)
}

async fn remove(State(hull): State<Hull>, scope: Scope, Path(path): Path<(String, String, String)>) -> Reply {
    scope.require_project()?;
    let (pool, volume) = found(&hull, &path)?;
    own(&volume, "deleted")?;
    custom::delete(&hull, &pool, &volume.name).await?;
    empty()
}

async fn state(State(hull): State<Hull>, scope: Scope, Path(path): Path<(String, String, String)>) -> Reply {
    scope.require_project()?;
    let (pool, volume) = found(&hull, &path)?;
    let usage = hull.storage.handle(&hull, &pool).await?.volume_usage(&volume.name).await?;
    sync(&json!({"usage": {"used": usage.bytes_used, "total": usage.bytes_total}}))
}

/// Hull makes no snapshots and backups of volumes yet, so there is none to list.
async fn none_yet(State(hull): State<Hull>, scope: Scope, Path(path): Path<(String, String, String)>) -> Reply {
    scope.require_project()?;
    found(&hull, &path)?;
    sync(&Vec::<String>::new())
}

fn found(
    hull: &Hull,
    (pool, kind, name): &(String, String, String),
) -> Result<(std::sync::Arc<Pool>, std::sync::Arc<VolumeRow>), ApiError> {
    let kind = VolumeKind::parse(kind)?;
    let pool = hull.storage.by_text(pool)?;
    let name = VolumeName::new(format!("{}/{name}", kind.word())).ok();
    let volume = name.and_then(|name| hull.storage.volume(&pool.name, &name));
    volume.map(|volume| (pool, volume)).ok_or_else(|| ApiError::not_found("Storage pool volume not found"))
}

/// A volume without an owner: those of instances and images follow theirs.
fn own(volume: &VolumeRow, verb: &str) -> Result<(), ApiError> {
    match volume.name.parts() {
        ("custom", _) => Ok(()),
        (kind, _) => Err(ApiError::bad_request(format!(
            "Storage volumes of type {kind:?} cannot be {verb} with the storage API"
        ))),
    }
}

fn rendered(hull: &Hull, volume: &VolumeRow) -> StorageVolume {
    let (kind, name) = volume.name.parts();
    let used_by = match kind {
        "custom" => used_by::custom_volume(hull, &volume.pool, name),
        _ => vec![used_by::url_of_volume(volume)],
    };
    StorageVolume {
        config: volume.config.clone(),
        description: volume.description.clone(),
        restore: String::new(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        used_by,
        location: "none".to_owned(),
        content_type: volume.content.clone(),
        project: "default".to_owned(),
        created_at: DateTime::from_timestamp(volume.created_at, 0).map(Timestamp::from).unwrap_or_default(),
    }
}
