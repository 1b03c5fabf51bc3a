//! `/1.0/operations`.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

use crate::api::{ApiError, Reply, Scope, empty, sync};
use crate::gateway::upgrade_response;
use crate::hull::Hull;

pub(crate) fn routes() -> Router<Hull> {
    Router::new()
        .route("/1.0/operations", get(list))
        .route("/1.0/operations/{id}", get(show).delete(cancel))
        .route("/1.0/operations/{id}/wait", get(wait))
        .route("/1.0/operations/{id}/websocket", get(websocket))
}

/// By status: `{"running": [...], "success": [...]}`.
async fn list(State(hull): State<Hull>, scope: Scope) -> Reply {
    let operations = hull.operations.list();
    if scope.recursion() > 0 {
        return sync(&by_status(operations, |operation| operation));
    }
    sync(&by_status(operations, |operation| format!("/1.0/operations/{}", operation.id)))
}

async fn show(State(hull): State<Hull>, Path(id): Path<String>) -> Reply {
    sync(&hull.operations.show(&id)?)
}

async fn cancel(State(hull): State<Hull>, Path(id): Path<String>) -> Reply {
    hull.operations.cancel(&id)?;
    empty()
}

async fn wait(State(hull): State<Hull>, Path(id): Path<String>, scope: Scope) -> Reply {
    sync(&hull.operations.wait(&id, timeout(&scope)?).await?)
}

async fn websocket(State(hull): State<Hull>, Path(id): Path<String>, scope: Scope) -> Reply {
    let secret = scope.value("secret").unwrap_or_default();
    Ok(upgrade_response(hull.operations.websocket(&id, secret).await?))
}

/// `timeout=SECONDS`; negative or absent: as long as it takes.
fn timeout(scope: &Scope) -> Result<Option<Duration>, ApiError> {
    let Some(text) = scope.value("timeout") else { return Ok(None) };
    let seconds: i64 = text.parse().map_err(|_| ApiError::bad_request(format!("Invalid timeout: {text}")))?;
    Ok(u64::try_from(seconds).ok().map(Duration::from_secs))
}

fn by_status<T>(
    operations: Vec<hull_api::Operation>,
    render: impl Fn(hull_api::Operation) -> T,
) -> BTreeMap<String, Vec<T>> {
    let mut result: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for operation in operations {
        result.entry(operation.status.to_lowercase()).or_default().push(render(operation));
    }
    result
}
