//! `/1.0/images`. Aliases are in `alias_api.rs`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::routing::{get, post};
use http::HeaderMap;
use hull_api::ImagePut;

use super::change::{self, Change, Patch};
use super::model::Image;
use super::{alias_api, delete, export, refresh};
use crate::api::{Json, Reply, Scope, empty, sync, sync_tagged};
use crate::filter::Filter;
use crate::hull::Hull;
use crate::operations::{Class, Spec};

pub(crate) fn routes() -> Router<Hull> {
    Router::new()
        .route("/1.0/images", get(list).post(make))
        .route("/1.0/images/{fingerprint}", get(show).put(put).patch(patch).delete(remove))
        .route("/1.0/images/{fingerprint}/export", get(exported))
        .route("/1.0/images/{fingerprint}/refresh", post(refreshed))
        .merge(alias_api::routes())
}

async fn list(State(hull): State<Hull>, scope: Scope) -> Reply {
    let filter = Filter::parse(scope.value("filter"))?;
    scope.require_project_of_list("Check if project has images: fetch project")?;
    let images = hull.images.all();
    if scope.recursion() == 0 && filter.is_none() {
        return sync(&images.iter().map(|image| image.url()).collect::<Vec<_>>());
    }
    let mut shown: Vec<_> = images.iter().map(|image| rendered(&hull, image)).collect();
    shown.retain(|image| filter.as_ref().is_none_or(|filter| filter.matches(image)));
    if scope.recursion() == 0 {
        return sync(&shown.iter().map(|image| format!("/1.0/images/{}", image.fingerprint)).collect::<Vec<_>>());
    }
    sync(&shown)
}

async fn make(State(hull): State<Hull>, scope: Scope, request: Request) -> Reply {
    scope.require_project()?;
    super::post::post(hull, request).await
}

async fn show(State(hull): State<Hull>, scope: Scope, Path(prefix): Path<String>) -> Reply {
    let image = found(&hull, &scope, &prefix)?;
    sync_tagged(&rendered(&hull, &image), &image.writable())
}

async fn put(
    State(hull): State<Hull>,
    scope: Scope,
    Path(prefix): Path<String>,
    headers: HeaderMap,
    Json(put): Json<ImagePut>,
) -> Reply {
    scope.require_project()?;
    change::change(&hull, &prefix, &headers, Change::Put(put)).await?;
    empty()
}

async fn patch(
    State(hull): State<Hull>,
    scope: Scope,
    Path(prefix): Path<String>,
    headers: HeaderMap,
    Json(patch): Json<Patch>,
) -> Reply {
    scope.require_project()?;
    change::change(&hull, &prefix, &headers, Change::Patch(patch)).await?;
    empty()
}

async fn remove(State(hull): State<Hull>, scope: Scope, Path(prefix): Path<String>) -> Reply {
    let image = found(&hull, &scope, &prefix)?;
    let spec = Spec::task("Deleting image", "images", image.url());
    let work_hull = hull.clone();
    hull.operations.start(spec, move |_| async move { delete::delete(&work_hull, &image.fingerprint).await })
}

async fn exported(State(hull): State<Hull>, scope: Scope, Path(prefix): Path<String>) -> Reply {
    let image = found(&hull, &scope, &prefix)?;
    let reply = export::export(&hull, &image)?;
    hull.events.lifecycle("image-retrieved", &image.url());
    Ok(reply)
}

async fn refreshed(State(hull): State<Hull>, scope: Scope, Path(prefix): Path<String>) -> Reply {
    let image = found(&hull, &scope, &prefix)?;
    let spec = Spec {
        class: Class::Task,
        description: "Refreshing image".into(),
        resources: Default::default(),
        may_cancel: false,
        load: None,
    };
    let work_hull = hull.clone();
    hull.operations
        .start(spec, move |operation| async move { refresh::refresh(&work_hull, &image.fingerprint, &operation).await })
}

fn found(hull: &Hull, scope: &Scope, prefix: &str) -> Result<Arc<Image>, crate::api::ApiError> {
    scope.require_project()?;
    hull.images.by_prefix(prefix)
}

fn rendered(hull: &Hull, image: &Image) -> hull_api::Image {
    image.rendered(hull.images.aliases_of(&image.fingerprint))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_routes_of_images_and_aliases_do_not_collide() {
        assert!(super::routes().has_routes()); // a collision panics
    }
}
