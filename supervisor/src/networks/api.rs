//! `/1.0/networks`.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use http::HeaderMap;
use hull_api::{NetworkPost, NetworkPut, NetworksPost};
use hull_plugin::{Code, NetworkName};

use super::change::{self, Change, Patch};
use super::model::{self, Network};
use super::{create, delete, drivers, rename};
use crate::api::{ApiError, Json, Reply, Scope, created, empty, sync, sync_tagged};
use crate::hull::Hull;
use crate::used_by;

pub(crate) fn routes() -> Router<Hull> {
    Router::new()
        .route("/1.0/networks", get(list).post(make))
        .route("/1.0/networks/{name}", get(show).put(put).patch(patch).post(name_anew).delete(remove))
        .route("/1.0/networks/{name}/state", get(state))
        .route("/1.0/networks/{name}/leases", get(leases))
}

async fn list(State(hull): State<Hull>, scope: Scope) -> Reply {
    scope.require_project_of_list("Failed to load project \"NAME\"")?;
    let managed = hull.networks.all();
    let mut host = drivers::host_interfaces(&hull).await;
    host.retain(|(name, _)| !managed.iter().any(|network| network.name.as_str() == name));
    if scope.recursion() == 0 {
        let urls = managed.iter().map(|one| one.url()).chain(host.iter().map(|(name, _)| model::url(name)));
        return sync(&urls.collect::<Vec<_>>());
    }
    let mut all: Vec<_> = managed.iter().map(|network| rendered(&hull, network)).collect();
    all.extend(host.iter().map(|(name, kind)| model::unmanaged(name, kind, used_by::network(&hull, name))));
    sync(&all)
}

async fn make(State(hull): State<Hull>, scope: Scope, Json(post): Json<NetworksPost>) -> Reply {
    scope.require_project()?;
    created(&create::create(&hull, post).await?)
}

async fn show(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    scope.require_project()?;
    if let Some(network) = hull.networks.find(&name) {
        return sync_tagged(&rendered(&hull, &network), &network.writable());
    }
    let host = drivers::host_interfaces(&hull).await;
    let (name, kind) =
        host.into_iter().find(|(one, _)| *one == name).ok_or_else(|| ApiError::not_found("Network not found"))?;
    let shown = model::unmanaged(&name, &kind, used_by::network(&hull, &name));
    sync_tagged(&shown, &shown.clone().writable())
}

async fn put(
    State(hull): State<Hull>,
    scope: Scope,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(put): Json<NetworkPut>,
) -> Reply {
    scope.require_project()?;
    change::change(&hull, &name, &headers, Change::Put(put)).await?;
    empty()
}

async fn patch(
    State(hull): State<Hull>,
    scope: Scope,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(patch): Json<Patch>,
) -> Reply {
    scope.require_project()?;
    change::change(&hull, &name, &headers, Change::Patch(patch)).await?;
    empty()
}

async fn name_anew(
    State(hull): State<Hull>,
    scope: Scope,
    Path(name): Path<String>,
    Json(post): Json<NetworkPost>,
) -> Reply {
    scope.require_project()?;
    created(&rename::rename(&hull, &name, &post.name).await?)
}

async fn remove(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    scope.require_project()?;
    delete::delete(&hull, &name).await?;
    empty()
}

async fn state(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    scope.require_project()?;
    let missing = || ApiError::not_found(format!("Network interface {name:?} not found"));
    let handle = match hull.networks.find(&name) {
        Some(network) => hull.networks.handle(&hull, &network)?,
        None => drivers::any(&hull)?,
    };
    let interface = NetworkName::new(name.clone()).map_err(|_| missing())?;
    match handle.network_state(&interface).await {
        Ok(state) => sync(&model::rendered_state(state)),
        Err(error) if error.code == Code::NotFound => Err(missing()),
        Err(error) => Err(error.into()),
    }
}

async fn leases(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    scope.require_project()?;
    let network = hull.networks.get(&name).map_err(|error| error.context("Failed loading network"))?;
    let leases = hull.networks.handle(&hull, &network)?.leases(&network.name).await?;
    sync(&leases.into_iter().map(model::rendered_lease).collect::<Vec<_>>())
}

fn rendered(hull: &Hull, network: &Network) -> hull_api::Network {
    network.rendered(&hull.networks.status(network.name.as_str()), used_by::network(hull, network.name.as_str()))
}
