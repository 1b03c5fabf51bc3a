//! `/1.0/profiles`.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use http::HeaderMap;
use hull_api::{ProfilePost, ProfilePut, ProfilesPost};

use super::change::{self, Change};
use super::model::{Profile, ProfilePatch};
use crate::api::{Json, Reply, Scope, created, empty, sync, sync_tagged};
use crate::hull::Hull;
use crate::used_by;

pub(crate) fn routes() -> Router<Hull> {
    Router::new()
        .route("/1.0/profiles", get(list).post(create))
        .route("/1.0/profiles/{name}", get(show).put(put).patch(patch).post(rename).delete(delete))
}

async fn list(State(hull): State<Hull>, scope: Scope) -> Reply {
    scope.require_project_of_list("Failed loading project \"NAME\"")?;
    let profiles = hull.profiles.all();
    if scope.recursion() == 0 {
        return sync(&profiles.iter().map(|profile| profile.name.url()).collect::<Vec<_>>());
    }
    sync(&profiles.iter().map(|profile| rendered(&hull, profile)).collect::<Vec<_>>())
}

async fn create(State(hull): State<Hull>, scope: Scope, Json(post): Json<ProfilesPost>) -> Reply {
    scope.require_project()?;
    let name = post.name.parse()?;
    let url = format!("/1.0/profiles/{name}");
    let put = ProfilePut { config: post.config, description: post.description, devices: post.devices };
    change::create(&hull, name, put).await?;
    created(&url)
}

async fn show(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    scope.require_project()?;
    let profile = hull.profiles.get(&name)?;
    sync_tagged(&rendered(&hull, &profile), &profile.writable())
}

async fn put(
    State(hull): State<Hull>,
    scope: Scope,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(put): Json<ProfilePut>,
) -> Reply {
    scope.require_project()?;
    change::update(&hull, &name, &headers, Change::Put(put)).await?;
    empty()
}

async fn patch(
    State(hull): State<Hull>,
    scope: Scope,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(patch): Json<ProfilePatch>,
) -> Reply {
    scope.require_project()?;
    change::update(&hull, &name, &headers, Change::Patch(patch)).await?;
    empty()
}

async fn rename(
    State(hull): State<Hull>,
    scope: Scope,
    Path(name): Path<String>,
    Json(post): Json<ProfilePost>,
) -> Reply {
    scope.require_project()?;
    let to: super::model::ProfileName = post.name.parse()?;
    let url = to.url();
    change::rename(&hull, &name, to).await?;
    created(&url)
}

async fn delete(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    scope.require_project()?;
    change::delete(&hull, &name).await?;
    empty()
}

fn rendered(hull: &Hull, profile: &Profile) -> hull_api::Profile {
    profile.rendered(used_by::profile(hull, profile.name.as_str()))
}
