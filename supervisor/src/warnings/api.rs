//! `/1.0/warnings`.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use hull_api::WarningPut;

use super::model::Status;
use crate::api::{ApiError, Json, Reply, Scope, empty, sync};
use crate::filter::Filter;
use crate::hull::Hull;

pub(crate) fn routes() -> Router<Hull> {
    Router::new()
        .route("/1.0/warnings", get(list))
        .route("/1.0/warnings/{uuid}", get(show).put(change).patch(change).delete(remove))
}

async fn list(State(hull): State<Hull>, scope: Scope) -> Reply {
    let mut all: Vec<hull_api::Warning> = hull.warnings.all().iter().map(|warning| warning.rendered()).collect();
    if let Some(project) = scope.value("project").filter(|name| !name.is_empty()) {
        all.retain(|warning| warning.project.is_empty() || warning.project == project);
    }
    if let Some(filter) = Filter::parse(scope.value("filter"))? {
        all.retain(|warning| filter.matches(warning));
    }
    match scope.recursion() {
        0 => sync(&all.iter().map(|warning| format!("/1.0/warnings/{}", warning.uuid)).collect::<Vec<_>>()),
        _ => sync(&all),
    }
}

async fn show(State(hull): State<Hull>, Path(uuid): Path<String>) -> Reply {
    sync(&hull.warnings.show(&uuid)?.rendered())
}

async fn change(State(hull): State<Hull>, Path(uuid): Path<String>, Json(put): Json<WarningPut>) -> Reply {
    let status = match put.status.as_str() {
        "acknowledged" => Status::Acknowledged,
        "new" => Status::New,
        _ => return Err(ApiError::bad_request("Status may only be set to \"acknowledge\" or \"new\"")),
    };
    hull.warnings.set_status(&uuid, status).await?;
    empty()
}

async fn remove(State(hull): State<Hull>, Path(uuid): Path<String>) -> Reply {
    hull.warnings.delete(&uuid).await?;
    empty()
}
