//! `/1.0/projects`.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use http::StatusCode;
use hull_api::{Config, Project};

use crate::api::{ApiError, Reply, Scope, sync, sync_tagged};
use crate::hull::Hull;

const DEFAULT: &str = "default";
const URL: &str = "/1.0/projects/default";

pub(crate) fn routes() -> Router<Hull> {
    Router::new().route("/1.0/projects", get(list).post(refuse)).route(
        "/1.0/projects/{name}",
        get(show).put(refuse_one).patch(refuse_one).post(refuse_rename).delete(refuse_delete),
    )
}

async fn list(State(hull): State<Hull>, scope: Scope) -> Reply {
    if scope.recursion() == 0 { sync(&[URL]) } else { sync(&[default_project(&hull)]) }
}

async fn show(State(hull): State<Hull>, Path(name): Path<String>) -> Reply {
    known(&name)?;
    let project = default_project(&hull);
    sync_tagged(&project, &project.clone().writable())
}

async fn refuse_one(Path(name): Path<String>) -> Reply {
    known(&name)?;
    refuse().await
}

async fn refuse_rename(Path(name): Path<String>) -> Reply {
    known(&name)?;
    Err(ApiError::new(StatusCode::FORBIDDEN, "The 'default' project cannot be renamed"))
}

async fn refuse_delete(Path(name): Path<String>) -> Reply {
    known(&name)?;
    Err(ApiError::new(StatusCode::FORBIDDEN, "The 'default' project cannot be deleted"))
}

fn known(name: &str) -> Result<(), ApiError> {
    if name == DEFAULT { Ok(()) } else { Err(ApiError::not_found("Project not found")) }
}

async fn refuse() -> Reply {
    Err(ApiError::bad_request("This version of Hull has the project \"default\" only, which cannot be changed"))
}

fn default_project(hull: &Hull) -> Project {
    let features = ["features.images", "features.networks", "features.profiles", "features.storage.volumes"];
    let profiles = hull.profiles.all();
    let instances = hull.instances.records();
    let images = hull.images.all();
    let mut used_by: Vec<String> = profiles.iter().map(|one| one.name.url()).collect();
    used_by.extend(instances.iter().map(|one| one.name.url()));
    used_by.extend(images.iter().map(|one| one.url()));
    used_by.extend(hull.networks.all().iter().map(|one| one.url()));
    Project {
        config: features.map(|key| (key.to_owned(), "true".to_owned())).into_iter().collect::<Config>(),
        description: "Default LXD project".into(),
        name: DEFAULT.into(),
        used_by,
    }
}
