//! `/1.0/instances`, with LXD's older name `/1.0/containers`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::routing::{any, get, post};
use http::HeaderMap;
use hull_api::{InstanceConsolePost, InstanceExecPost, InstancePost, InstancePut, InstanceStatePut, InstancesPost};
use serde_json::Value;

use super::model::InstanceName;
use super::registry::Entry;
use super::{bulk, configure, console, create, delete, exec, files, logs, power, rename, state};
use crate::api::{ApiError, Json, Reply, Scope, check_etag, empty, sync, sync_tagged};
use crate::filter::Filter;
use crate::hull::Hull;
use crate::operations::{Load, Spec};

pub(crate) fn routes() -> Router<Hull> {
    let machines = Router::new()
        .route("/1.0/virtual-machines", get(|state, scope| list(state, scope, "virtual-machines")))
        .route("/1.0/virtual-machines/{*name}", any(no_machine));
    ["instances", "containers"].into_iter().fold(machines, |router, noun| {
        let path = |rest: &str| format!("/1.0/{noun}{rest}");
        router
            .route(&path(""), get(move |state, scope| list(state, scope, noun)).post(make).put(change_all))
            .route(&path("/{name}"), get(show).put(put).patch(patch).post(move_to).delete(remove))
            .route(&path("/{name}/state"), get(show_state).put(change_state))
            .route(&path("/{name}/exec"), post(execute))
            .route(&path("/{name}/console"), post(attach_console).get(console_log).delete(clear_console_log))
            .route(&path("/{name}/files"), get(read_file).post(write_file).delete(delete_file))
            .route(&path("/{name}/snapshots"), get(no_snapshots).post(not_yet))
            .route(&path("/{name}/backups"), get(no_snapshots).post(not_yet))
            .route(&path("/{name}/logs"), get(list_logs))
            .route(&path("/{name}/logs/{file}"), get(read_log).delete(delete_log))
    })
}

/// None of the drivers makes virtual machines yet.
async fn no_machine() -> Reply {
    Err(ApiError::not_found("Instance not found"))
}

async fn list(State(hull): State<Hull>, scope: Scope, noun: &'static str) -> Reply {
    if scope.value("all-projects") == Some("true") && scope.value("project").is_some() {
        return Err(ApiError::bad_request("Cannot specify a project when requesting all projects"));
    }
    if scope.is_elsewhere() {
        return sync(&Vec::<String>::new());
    }
    let mut entries = hull.instances.all();
    let kind = match (noun, scope.value("instance-type").unwrap_or_default()) {
        ("instances", "") => None,
        ("instances", kind @ ("container" | "virtual-machine")) => Some(kind),
        ("instances", _) => return Err(ApiError::bad_request("Invalid instance type")),
        _ => Some(noun.trim_end_matches('s')),
    };
    if let Some(kind) = kind {
        entries.retain(|entry| entry.record().kind == kind);
    }
    if let Some(filter) = Filter::parse(scope.value("filter"))? {
        entries.retain(|entry| filter.matches(&state::instance(&hull, entry)));
    }
    match scope.recursion() {
        0 => sync(&entries.iter().map(|entry| format!("/1.0/{noun}/{}", entry.record().name)).collect::<Vec<_>>()),
        1 => sync(&entries.iter().map(|entry| state::instance(&hull, entry)).collect::<Vec<_>>()),
        _ => sync(&state::full(&hull, &entries).await),
    }
}

async fn make(State(hull): State<Hull>, scope: Scope, Json(post): Json<InstancesPost>) -> Reply {
    scope.require_project().map_err(|error| error.context("Failed loading project"))?;
    if scope.value("target").is_some_and(|target| !target.is_empty()) {
        return Err(ApiError::bad_request("Target only allowed when clustered"));
    }
    create::create(&hull, post).await
}

async fn change_all(State(hull): State<Hull>, scope: Scope, Json(put): Json<bulk::InstancesPut>) -> Reply {
    scope.require_project()?;
    bulk::change(&hull, &put)
}

async fn show(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    let entry = settled(&hull, &scope, &name).await?;
    let instance = state::instance(&hull, &entry);
    if scope.recursion() > 0 {
        return sync_tagged(&state::full(&hull, &[entry]).await.pop(), &instance.writable());
    }
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
    let busy = entry.claim("update")?;
    let old = entry.record();
    check_etag(&headers, &state::instance(&hull, &entry).writable())?;
    configure::require_profiles(&hull, &put.profiles)?;
    let url = old.name.url();
    let spec = Spec::task("Updating instance", "instances", url.clone()).also("containers", url);
    let hull_for_task = hull.clone();
    hull.operations.start(spec, move |_| async move {
        let result = configure::replace(&hull_for_task, &entry, old, put).await;
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
    let _busy = entry.claim("update")?;
    check_etag(&headers, &state::instance(&hull, &entry).writable())?;
    let record = entry.record();
    let merged = configure::merged(&record, &patch)?;
    configure::require_profiles(&hull, &merged.profiles)?;
    configure::replace(&hull, &entry, record, merged).await?;
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
    scope.require_no_target().map_err(|error| error.context("Failed to get target node"))?;
    let to: InstanceName = post.name.parse()?;
    if hull.instances.get(&to).is_ok() {
        return Err(ApiError::conflict(format!("Name \"{to}\" already in use")));
    }
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
    delete::check(&hull, &entry)?;
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

async fn list_logs(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    logs::list(&hull, &*find(&hull, &scope, &name)?).await
}

async fn read_log(State(hull): State<Hull>, scope: Scope, Path((name, file)): Path<(String, String)>) -> Reply {
    logs::read(&hull, &*find(&hull, &scope, &name)?, &file).await
}

async fn delete_log(State(hull): State<Hull>, scope: Scope, Path((name, file)): Path<(String, String)>) -> Reply {
    logs::delete(&hull, &*find(&hull, &scope, &name)?, &file).await
}

async fn not_yet(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    find(&hull, &scope, &name)?;
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
