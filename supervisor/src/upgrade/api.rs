//! `/1.0/upgrade`: an extension of Hull's own.

use std::path::PathBuf;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use http::StatusCode;
use hull_api::UpgradePost;
use serde_json::json;

use super::run::{self, Order};
use crate::api::{ApiError, Json, Peer, Reply, sync};
use crate::hull::Hull;

pub(crate) fn routes() -> Router<Hull> {
    Router::new().route("/1.0/upgrade", post(upgrade)).route("/1.0/upgrade", get(show))
}

/// Which programs serve.
async fn show(State(hull): State<Hull>) -> Reply {
    let gateway = hull.upgrade.gateways().await.program();
    sync(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "supervisor": {"program": hull.upgrade.executable, "pid": std::process::id()},
        "gateway": {"program": gateway},
    }))
}

async fn upgrade(State(hull): State<Hull>, peer: Peer, Json(wish): Json<UpgradePost>) -> Reply {
    if peer.uid != 0 {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "Only root can replace the daemon"));
    }
    if !wish.supervisor && !wish.gateway {
        return Err(ApiError::bad_request("Neither the supervisor nor the gateway is to be replaced"));
    }
    let from = (!wish.from.is_empty()).then(|| PathBuf::from(&wish.from));
    if from.as_ref().is_some_and(|path| !path.is_absolute()) {
        return Err(ApiError::bad_request(format!("`{}` is not an absolute path", wish.from)));
    }
    let executable = from.map_or_else(|| hull.upgrade.installed.clone(), |folder| folder.join("hulld"));
    let (supervisor, gateway) = (wish.supervisor, wish.gateway);
    run::start(&hull, Order { executable, supervisor, gateway, patience: wish.patience.into() }).await
}
