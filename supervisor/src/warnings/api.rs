//! `/1.0/warnings`.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;

use crate::api::{ApiError, Reply, sync};
use crate::hull::Hull;

pub(crate) fn routes() -> Router<Hull> {
    Router::new().route("/1.0/warnings", get(list)).route("/1.0/warnings/{uuid}", get(missing).delete(missing).put(missing))
}

async fn list() -> Reply {
    sync::<[&str; 0]>(&[])
}

async fn missing(Path(_): Path<String>) -> Reply {
    Err(ApiError::not_found("Warning not found"))
}
