//! `/1.0/storage-pools`. What is below a pool's `/volumes` is in `volumes_api.rs`.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use http::HeaderMap;
use hull_api::{
    ResourcesStoragePool, ResourcesStoragePoolInodes, ResourcesStoragePoolSpace, StoragePoolPut, StoragePoolsPost,
};
use hull_plugin::PluginKind;

use super::change::{self, Change, Patch};
use super::model::Pool;
use super::{create, delete, mount, volumes_api};
use crate::api::{Json, Reply, Scope, created, empty, sync, sync_tagged};
use crate::hull::Hull;
use crate::look;
use crate::used_by;

pub(crate) fn routes() -> Router<Hull> {
    Router::new()
        .route("/1.0/storage-pools", get(list).post(make))
        .route("/1.0/storage-pools/{pool}", get(show).put(put).patch(patch).delete(remove))
        .route("/1.0/storage-pools/{pool}/resources", get(resources))
        .merge(volumes_api::routes())
}

async fn list(State(hull): State<Hull>, scope: Scope) -> Reply {
    let pools = hull.storage.pools();
    if scope.recursion() == 0 {
        return sync(&pools.iter().map(|pool| pool.url()).collect::<Vec<_>>());
    }
    let all = pools.iter().map(|pool| rendered(&hull, pool));
    sync(&futures::future::join_all(all).await)
}

async fn make(State(hull): State<Hull>, Json(post): Json<StoragePoolsPost>) -> Reply {
    created(&create::create(&hull, post).await?)
}

async fn show(State(hull): State<Hull>, Path(pool): Path<String>) -> Reply {
    let pool = hull.storage.by_text(&pool)?;
    sync_tagged(&rendered(&hull, &pool).await, &pool.writable())
}

async fn put(
    State(hull): State<Hull>,
    Path(pool): Path<String>,
    headers: HeaderMap,
    Json(put): Json<StoragePoolPut>,
) -> Reply {
    change::pool(&hull, &pool, &headers, Change::Put(put)).await?;
    empty()
}

async fn patch(
    State(hull): State<Hull>,
    Path(pool): Path<String>,
    headers: HeaderMap,
    Json(patch): Json<Patch>,
) -> Reply {
    change::pool(&hull, &pool, &headers, Change::Patch(patch)).await?;
    empty()
}

async fn remove(State(hull): State<Hull>, Path(pool): Path<String>) -> Reply {
    delete::delete(&hull, &pool).await?;
    empty()
}

async fn resources(State(hull): State<Hull>, Path(pool): Path<String>) -> Reply {
    let pool = hull.storage.by_text(&pool)?;
    let usage = hull.storage.handle(&hull, &pool).await?.pool_usage().await?;
    sync(&ResourcesStoragePool {
        space: ResourcesStoragePoolSpace { used: usage.bytes_used, total: usage.bytes_total },
        inodes: ResourcesStoragePoolInodes { used: usage.inodes_used, total: usage.inodes_total },
    })
}

async fn rendered(hull: &Hull, pool: &Pool) -> hull_api::StoragePool {
    hull_api::StoragePool {
        config: pool.config.clone(),
        description: pool.description.clone(),
        name: pool.name.to_string(),
        driver: pool.driver.clone(),
        used_by: used_by::pool(hull, &pool.name),
        status: status(hull, pool).await.to_owned(),
        locations: vec!["none".to_owned()],
    }
}

/// Cheap: a pool that is broken in a way only its driver can see says so when it is used.
async fn status(hull: &Hull, pool: &Pool) -> &'static str {
    let installed = hull.plugins.is_there(PluginKind::Storage, &pool.driver);
    if installed && look::exists(&mount::source(hull, pool)).await { "Created" } else { "Unavailable" }
}
