//! hulld without the layers above the plugins: an API that names the plugins. For tests of what is below.

use std::path::Path;
use std::sync::Arc;

use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use crate::daemon::{Application, DaemonError, Foundation};
use crate::gateway::Peer;
use crate::keeper::Shutdown;
use crate::plugins::{HandleSource, NoHandles};

/// Answers `GET /1.0` and nothing else.
pub struct Bare;

impl Application for Bare {
    fn handles(_: &Path) -> Result<Arc<dyn HandleSource>, DaemonError> {
        Ok(Arc::new(NoHandles))
    }

    async fn start(foundation: Foundation) -> Result<(Self, Router), DaemonError> {
        let plugins = foundation.plugins;
        let list = move |Extension(peer): Extension<Peer>| async move {
            let names: Vec<String> = plugins.list().into_iter().map(|plugin| plugin.manifest.name).collect();
            Json::<Value>(json!({ "plugins": names, "peer": [peer.user, peer.group, peer.process] }))
        };
        Ok((Self, Router::new().route("/1.0", get(list))))
    }

    async fn stop(self, _: Shutdown) {}
}
