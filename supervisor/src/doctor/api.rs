//! `/1.0/doctor`, one of Hull's own: `?name=` asks for one plugin or process only.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use hull_api::{Doctor, DoctorCheck};

use super::{machine, plugin};
use crate::api::{ApiError, Reply, Scope, sync};
use crate::hull::Hull;

pub(crate) fn routes() -> Router<Hull> {
    Router::new().route("/1.0/doctor", get(show))
}

async fn show(State(hull): State<Hull>, scope: Scope) -> Reply {
    let mut plugins = plugin::all(&hull).await;
    let mut checks: Vec<DoctorCheck> = Vec::new();
    match scope.value("name").filter(|name| !name.is_empty()) {
        Some(name) => {
            plugins.retain(|one| one.name == name || one.plugin == name);
            if plugins.is_empty() {
                return Err(ApiError::not_found(format!("Plugin not found: {name}")));
            }
        }
        None => checks = machine::checks(&hull).await,
    }
    let healthy = plugins.iter().all(|one| one.healthy) && checks.iter().all(|check| check.verdict != machine::WRONG);
    sync(&Doctor { healthy, checks, plugins })
}
