//! What a plugin may ask of hulld, answered for exactly that plugin: its keys and services carry its name.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use futures::StreamExt;
use hull_plugin::tarpc::server::{BaseChannel, Channel};
use hull_plugin::{
    AnyFd, Code, Context, DriverError, Host, OperationId, ProcessFd, Progress, ServiceSpec, ServiceState, accept,
};

use super::process::{Heartbeat, Spec};
use crate::logging::within_request;

/// The longest key a plugin may use; the rest of the keeper's is for the prefix.
const MAX_KEY: usize = 160;
/// How many upcalls of one plugin are worked on at a time.
const CONCURRENT: usize = 64;

/// A plugin says how far a call is.
#[derive(Clone, Debug)]
pub struct ProgressReport {
    pub plugin: String,
    pub operation: OperationId,
    pub progress: Progress,
}

/// Answers a plugin's upcalls until it closes the channel.
pub(super) async fn serve(spec: Arc<Spec>, heartbeat: Arc<Heartbeat>, socket: OwnedFd) {
    let server = Server { spec, heartbeat };
    let transport = match accept(socket) {
        Ok(transport) => transport,
        Err(error) => return tracing::error!(%error, "a plugin's upcall channel cannot be used"),
    };
    let requests = BaseChannel::with_defaults(transport).execute(server.serve());
    requests.for_each_concurrent(CONCURRENT, |request| request).await;
}

#[derive(Clone)]
struct Server {
    spec: Arc<Spec>,
    heartbeat: Arc<Heartbeat>,
}

impl Server {
    fn key(&self, key: &str) -> Result<String, DriverError> {
        if key.is_empty() || key.len() > MAX_KEY || key.contains('\0') {
            return Err(DriverError::new(
                Code::InvalidConfig,
                format!("a key must have 1 to {MAX_KEY} bytes, not NUL"),
            ));
        }
        Ok(format!("plugin/{}/{key}", self.spec.name))
    }
}

impl Host for Server {
    async fn progress(self, _: Context, operation: OperationId, progress: Progress) {
        self.heartbeat.beat();
        let report = ProgressReport { plugin: self.spec.name.plugin.clone(), operation, progress };
        // Nobody who waits is fine.
        let _ = self.spec.environment.progress.send(report);
    }

    async fn store(self, _: Context, key: String, fd: AnyFd) -> Result<(), DriverError> {
        let stored = self.spec.environment.keeper.store(&self.key(&key)?, fd.as_fd()).await;
        stored.map_err(|error| DriverError::system(&error, format!("cannot keep descriptor `{key}`")))
    }

    async fn fetch(self, _: Context, key: String) -> Result<Option<AnyFd>, DriverError> {
        let fetched = self.spec.environment.keeper.fetch(&self.key(&key)?).await;
        let fetched =
            fetched.map_err(|error| DriverError::system(&error, format!("cannot fetch descriptor `{key}`")))?;
        Ok(fetched.map(AnyFd::new))
    }

    async fn discard(self, _: Context, key: String) -> Result<(), DriverError> {
        let discarded = self.spec.environment.keeper.discard(&self.key(&key)?).await;
        discarded.map_err(|error| DriverError::system(&error, format!("cannot discard descriptor `{key}`")))
    }

    async fn start_service(self, context: Context, spec: ServiceSpec) -> Result<ProcessFd, DriverError> {
        let request = hull_plugin::request_id(&context);
        within_request(request, self.spec.environment.services.start(&self.spec, spec)).await
    }

    async fn stop_service(self, context: Context, key: String) -> Result<(), DriverError> {
        let request = hull_plugin::request_id(&context);
        within_request(request, self.spec.environment.services.stop(&self.spec, &key)).await
    }

    async fn service_state(self, _: Context, key: String) -> Result<ServiceState, DriverError> {
        Ok(self.spec.environment.services.state(&self.spec.name.plugin, &key).await)
    }
}
