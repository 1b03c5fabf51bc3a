//! `/1.0/instances`, with LXD's older name `/1.0/containers`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::routing::{get, post};
use http::HeaderMap;
use hull_api::{InstanceConsolePost, InstanceExecPost, InstancePost, InstancePut, InstanceStatePut, InstancesPost};
use serde_json::Value;

use super::registry::Entry;
use super::{configure, console, create, delete, exec, files, power, rename, state};
use crate::api::{ApiError, Json, Reply, Scope, check_etag, empty, sync, sync_tagged};
use crate::filter::Filter;
use crate::hull::Hull;
use crate::operations::{Load, Spec};

pub(crate) fn routes() -> Router<Hull> {
    ["instances", "containers"].into_iter().fold(Router::new(), |router, noun| {
        let path = |rest: &str| format!("/1.0/{noun}{rest}");
        router
            .route(&path(""), get(move |state, scope| list(state, scope, noun)).post(make))
            .route(&path("/{name}"), get(show).put(put).patch(patch).post(move_to).delete(remove))
            .route(&path("/{name}/state"), get(show_state).put(change_state))
            .route(&path("/{name}/exec"), post(execute))
            .route(&path("/{name}/console"), post(attach_console).get(console_log).delete(clear_console_log))
            .route(&path("/{name}/files"), get(read_file).post(write_file).delete(delete_file))
            .route(&path("/{name}/snapshots"), get(no_snapshots).post(not_yet))
            .route(&path("/{name}/backups"), get(no_snapshots).post(not_yet))
            .route(&path("/{name}/logs"), get(no_snapshots))
    })
}

async fn list(State(hull): State<Hull>, scope: Scope, noun: &'static str) -> Reply {
    if scope.is_elsewhere() {
        return sync(&Vec::<String>::new());
    }
    let mut entries = hull.instances.all();
    if let Some(kind) = scope.value("instance-type") {
        entries.retain(|entry| entry.record().kind == kind);
    }
    if let Some(filter) = Filter::parse(scope.value("filter"))? {
        entries.retain(|entry| filter.matches(&state::instance(&hull, entry)));
    }
    match scope.recursion() {
        0 => sync(&entries.iter().map(|entry| format!("/1.0/{noun}/{}", entry.record().name)).collect::<Vec<_>>()),
        1 => sync(&entries.iter().map(|entry| state::instance(&hull, entry)).collect::<Vec<_>>()),
        _ => {
            let states = entries.iter().map(|entry| state::full(&hull, entry));
            sync(&futures::future::join_all(states).await)
        }
    }
}

async fn make(State(hull): State<Hull>, scope: Scope, Json(body): Json<Value>) -> Reply {
    scope.require_project()?;
    let post: InstancesPost =
        serde_json::from_value(body).map_err(|error| ApiError::bad_request(format!("invalid JSON body: {error}")))?;
    create::create(&hull, post).await
}

async fn show(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    let entry = settled(&hull, &scope, &name).await?;
    if scope.recursion() > 0 {
        return sync(&state::full(&hull, &entry).await);
    }
    let instance = state::instance(&hull, &entry);
    sync_tagged(&instance, &instance.clone().writable())
}

async fn put(
    State(hull): State<Hull>,
    scope: Scope,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(put): Json<InstancePut>,
) -> Reply {
    let entry = settled(&hull, &scope, &name).await?;
    check_etag(&headers, &state::instance(&hull, &entry).writable())?;
    let busy = entry.claim("update")?;
    let url = entry.record().name.url();
    let spec = Spec::task("Updating instance", "instances", url.clone()).also("containers", url);
    let hull_for_task = hull.clone();
    hull.operations.start(spec, move |_| async move {
        let result = configure::replace(&hull_for_task, &entry, put).await;
        drop(busy);
        result
    })
}

async fn patch(
    State(hull): State<Hull>,
    scope: Scope,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(patch): Json<Value>,
) -> Reply {
    let entry = settled(&hull, &scope, &name).await?;
    check_etag(&headers, &state::instance(&hull, &entry).writable())?;
    let _busy = entry.claim("update")?;
    let merged = configure::merged(&entry.record(), &patch)?;
    configure::replace(&hull, &entry, merged).await?;
    empty()
}

async fn move_to(
    State(hull): State<Hull>,
    scope: Scope,
    Path(name): Path<String>,
    Json(post): Json<InstancePost>,
) -> Reply {
    let entry = settled(&hull, &scope, &name).await?;
    if post.migration || !post.pool.is_empty() || !post.project.is_empty() {
        return Err(ApiError::bad_request("Moving instances between pools, projects or servers is not supported yet"));
    }
    let to = post.name.parse()?;
    let busy = entry.claim("rename")?;
    let url = entry.record().name.url();
    let spec = Spec::task("Renaming instance", "instances", url.clone()).also("containers", url);
    let spec = spec.loading(pool_load(&hull, &entry));
    let hull_for_task = hull.clone();
    hull.operations.start(spec, move |operation| async move {
        let result = rename::rename(&hull_for_task, &entry, to, operation.id()).await;
        drop(busy);
        result
    })
}

async fn remove(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    let entry = settled(&hull, &scope, &name).await?;
    let busy = entry.claim("delete")?;
    delete::check(&entry)?;
    let url = entry.record().name.url();
    let spec = Spec::task("Deleting instance", "instances", url.clone()).also("containers", url);
    let spec = spec.loading(pool_load(&hull, &entry));
    let hull_for_task = hull.clone();
    hull.operations.start(spec, move |operation| async move {
        let result = delete::delete(&hull_for_task, &entry, operation.id()).await;
        drop(busy);
        result
    })
}

async fn show_state(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    let entry = settled(&hull, &scope, &name).await?;
    sync(&state::state(&hull, &entry).await?)
}

async fn change_state(
    State(hull): State<Hull>,
    scope: Scope,
    Path(name): Path<String>,
    Json(put): Json<InstanceStatePut>,
) -> Reply {
    power::change(&hull, settled(&hull, &scope, &name).await?, put)
}

async fn execute(
    State(hull): State<Hull>,
    scope: Scope,
    Path(name): Path<String>,
    Json(post): Json<InstanceExecPost>,
) -> Reply {
    exec::exec(&hull, settled(&hull, &scope, &name).await?, post).await
}

async fn attach_console(
    State(hull): State<Hull>,
    scope: Scope,
    Path(name): Path<String>,
    Json(post): Json<InstanceConsolePost>,
) -> Reply {
    console::attach(&hull, find(&hull, &scope, &name)?, post).await
}

async fn console_log(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    console::log(&hull, &*find(&hull, &scope, &name)?).await
}

async fn clear_console_log(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    console::clear(&hull, &*find(&hull, &scope, &name)?).await
}

async fn read_file(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    files::read(&hull, &find(&hull, &scope, &name)?, scope.value("path").unwrap_or_default()).await
}

async fn write_file(
    State(hull): State<Hull>,
    scope: Scope,
    Path(name): Path<String>,
    headers: HeaderMap,
    upload: Request,
) -> Reply {
    files::write(
        &hull,
        &settled(&hull, &scope, &name).await?,
        scope.value("path").unwrap_or_default(),
        &headers,
        upload,
    )
    .await
}

async fn delete_file(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    files::delete(&hull, &settled(&hull, &scope, &name).await?, scope.value("path").unwrap_or_default()).await
}

async fn not_yet() -> Reply {
    Err(ApiError::bad_request("Snapshots and backups of instances are not supported yet"))
}

/// Hull makes none yet, so there is none to list.
async fn no_snapshots(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    find(&hull, &scope, &name)?;
    sync(&Vec::<String>::new())
}

/// The work on an instance counts as work on its pool.
fn pool_load(hull: &Hull, entry: &Entry) -> Option<Load> {
    entry.record().pool.as_ref().and_then(|pool| hull.storage.load_of(hull, pool))
}

/// The instance, once nothing of a crash is left on it.
async fn settled(hull: &Hull, scope: &Scope, name: &str) -> Result<Arc<Entry>, ApiError> {
    hull.instances.recovered(name).await;
    find(hull, scope, name)
}

fn find(hull: &Hull, scope: &Scope, name: &str) -> Result<Arc<Entry>, ApiError> {
    match scope.project() {
        "default" => hull.instances.by_text(name),
        _ => Err(ApiError::not_found("Instance not found")),
    }
}
