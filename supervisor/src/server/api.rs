//! `/`, `/1.0` and what concerns the daemon as a whole.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, put};
use http::{HeaderMap, StatusCode};
use hull_api::ServerPut;
use hull_plugin::ConfigMap;
use serde_json::{Value, json};

use super::environment::environment;
use super::extensions::EXTENSIONS;
use super::{config, resources, store};
use crate::api::{ApiError, Json, Peer, Reply, check_etag, empty, sync, sync_tagged};
use crate::hull::Hull;

pub(crate) fn routes() -> Router<Hull> {
    Router::new()
        .route("/", get(async || sync(&["/1.0"])))
        .route("/1.0", get(show).put(replace).patch(merge))
        .route("/1.0/resources", get(show_resources))
        .route("/1.0/cluster", get(cluster))
        .route("/internal/ready", get(ready))
        .route("/internal/shutdown", put(shut_down))
}

async fn show(State(hull): State<Hull>) -> Reply {
    let config = hull.server.config();
    let server = hull_api::Server {
        config: config.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect(),
        api_extensions: EXTENSIONS.iter().map(|name| (*name).to_owned()).collect(),
        api_status: "stable".to_owned(),
        api_version: "1.0".to_owned(),
        auth: "trusted".to_owned(),
        public: false,
        auth_methods: vec!["tls".to_owned()],
        environment: environment(&hull),
    };
    sync_tagged(&server, &*config)
}

async fn replace(State(hull): State<Hull>, headers: HeaderMap, Json(put): Json<ServerPut>) -> Reply {
    change(&hull, &headers, put.config, config::replaced).await
}

async fn merge(State(hull): State<Hull>, headers: HeaderMap, Json(put): Json<ServerPut>) -> Reply {
    change(&hull, &headers, put.config, config::merged).await
}

async fn change(
    hull: &Hull,
    headers: &HeaderMap,
    given: BTreeMap<String, Value>,
    onto: fn(&ConfigMap, ConfigMap) -> ConfigMap,
) -> Reply {
    let _changing = hull.server.changing.lock().await;
    let old = hull.server.config();
    check_etag(headers, &*old)?;
    let new = onto(&old, config::checked(given)?);
    let row = new.clone();
    hull.database.write(move |tx| store::replace(tx, &row)).await?;
    hull.server.publish(new);
    hull.events.lifecycle("config-updated", "/1.0");
    empty()
}

async fn show_resources() -> Reply {
    let found = tokio::task::spawn_blocking(resources::resources).await;
    sync(&found.map_err(|error| ApiError::internal(format!("cannot look at the machine: {error}")))?)
}

async fn cluster() -> Reply {
    sync(&json!({"server_name": "", "enabled": false, "member_config": []}))
}

async fn ready(State(hull): State<Hull>) -> Reply {
    match hull.server.is_ready() {
        true => empty(),
        false => Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "Hull daemon not ready yet")),
    }
}

/// Stops the instances, then the daemon. How long that may take is the client's to decide: it waits for the end.
async fn shut_down(State(hull): State<Hull>, peer: Peer) -> Reply {
    if peer.uid != 0 {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "Only root can shut the daemon down"));
    }
    hull.server.request_shutdown();
    empty()
}
