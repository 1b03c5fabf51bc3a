//! `/1.0/certificates`.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;

use crate::api::{ApiError, Reply, sync};
use crate::hull::Hull;

pub(crate) fn routes() -> Router<Hull> {
    Router::new().route("/1.0/certificates", get(list).post(add)).route("/1.0/certificates/{fingerprint}", get(show))
}

async fn list() -> Reply {
    sync::<[&str; 0]>(&[])
}

async fn show(Path(_): Path<String>) -> Reply {
    Err(ApiError::not_found("Certificate not found"))
}

async fn add() -> Reply {
    Err(ApiError::bad_request("This version of Hull serves local clients only: there is nothing to trust a certificate for"))
}
