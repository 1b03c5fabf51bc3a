//! `/1.0/images/aliases`. Names may have slashes, escaped or not.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use http::HeaderMap;
use hull_api::{ImageAliasesEntry, ImageAliasesEntryPost, ImageAliasesEntryPut, ImageAliasesPost};

use super::alias::{self, Change, Patch};
use super::model::Alias;
use crate::api::{Json, Reply, Scope, created, empty, sync, sync_tagged};
use crate::hull::Hull;

pub(super) fn routes() -> Router<Hull> {
    Router::new()
        .route("/1.0/images/aliases", get(list).post(create))
        .route("/1.0/images/aliases/{*name}", get(show).put(put).patch(patch).post(rename).delete(remove))
}

async fn list(State(hull): State<Hull>, scope: Scope) -> Reply {
    scope.require_project_of_list("Check if project has images: fetch project")?;
    let aliases = hull.images.aliases();
    if scope.recursion() == 0 {
        return sync(&aliases.iter().map(|alias| alias.name.url()).collect::<Vec<_>>());
    }
    sync(&aliases.iter().map(|alias| rendered(&hull, alias)).collect::<Vec<_>>())
}

async fn create(State(hull): State<Hull>, scope: Scope, Json(post): Json<ImageAliasesPost>) -> Reply {
    scope.require_project()?;
    created(&alias::create(&hull, &post.name, &post.target, post.description).await?)
}

async fn show(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    scope.require_project()?;
    let alias = hull.images.alias(&name)?;
    sync_tagged(&rendered(&hull, &alias), &alias::writable(&alias))
}

async fn put(
    State(hull): State<Hull>,
    scope: Scope,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(put): Json<ImageAliasesEntryPut>,
) -> Reply {
    scope.require_project()?;
    alias::change(&hull, &name, &headers, Change::Put(put)).await?;
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
    alias::change(&hull, &name, &headers, Change::Patch(patch)).await?;
    empty()
}

async fn rename(
    State(hull): State<Hull>,
    scope: Scope,
    Path(name): Path<String>,
    Json(post): Json<ImageAliasesEntryPost>,
) -> Reply {
    scope.require_project()?;
    created(&alias::rename(&hull, &name, &post.name).await?)
}

async fn remove(State(hull): State<Hull>, scope: Scope, Path(name): Path<String>) -> Reply {
    scope.require_project()?;
    alias::delete(&hull, &name).await?;
    empty()
}

fn rendered(hull: &Hull, alias: &Alias) -> ImageAliasesEntry {
    ImageAliasesEntry {
        description: alias.description.clone(),
        target: alias.fingerprint.to_string(),
        name: alias.name.as_str().to_owned(),
        kind: hull.images.find(&alias.fingerprint).map(|image| image.kind.clone()).unwrap_or_default(),
    }
}
