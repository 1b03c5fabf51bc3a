//! `/1.0/metrics`.

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;

use super::gather::gather;
use crate::api::{Reply, Scope};
use crate::hull::Hull;

pub(crate) fn routes() -> Router<Hull> {
    Router::new().route("/1.0/metrics", get(show))
}

async fn show(State(hull): State<Hull>, scope: Scope) -> Reply {
    let instances = scope.value("project").is_none_or(|_| !scope.is_elsewhere());
    let text = gather(&hull, instances).await.rendered();
    Ok(([(http::header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}
