//! What a plugin may ask of hulld, answered for exactly that plugin: its keys and services carry its name.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use futures::StreamExt;
use hull_plugin::tarpc::server::{BaseChannel, Channel};
use hull_plugin::{
    AnyFd, Code, Context, DriverError, Host, OperationId, ProcessFd, Progress, ServiceSpec, ServiceState, accept,
};
use tokio::task::JoinSet;

use super::process::{Heartbeat, Spec};
use super::throttle::Throttled;
use crate::logging::within_request;

/// The longest key a plugin may use; the rest of the keeper's is for the prefix.
const MAX_KEY: usize = 160;
/// How many upcalls of one plugin are worked on at a time.
const CONCURRENT: usize = 64;
/// How many of its open descriptors a plugin may have kept: one of so many, but never fewer than the least.
const SHARE: u64 = 8;
const LEAST: usize = 64;

/// A plugin says how far a call is.
#[derive(Clone, Debug)]
pub struct ProgressReport {
    pub plugin: String,
    pub operation: OperationId,
    pub progress: Progress,
}

/// Answers a plugin's upcalls until it closes the channel.
pub(super) async fn serve(spec: Arc<Spec>, heartbeat: Arc<Heartbeat>, socket: OwnedFd) {
    let server = Server { spec, heartbeat, kept: Arc::default() };
    let transport = match accept(socket) {
        Ok(transport) => transport,
        Err(error) => return tracing::error!(%error, "a plugin's upcall channel cannot be used"),
    };
    let transport = Throttled::new(transport, CONCURRENT);
    let mut requests = std::pin::pin!(BaseChannel::with_defaults(transport).execute(server.serve()));
    let mut work = JoinSet::new();
    while let Some(request) = requests.next().await {
        work.spawn(request);
        while work.try_join_next().is_some() {} // those that are done
    }
    work.join_all().await;
}

#[derive(Clone)]
struct Server {
    spec: Arc<Spec>,
    heartbeat: Arc<Heartbeat>,
    /// The keys under which descriptors are kept, once they have been asked for.
    kept: Arc<tokio::sync::Mutex<Option<BTreeSet<String>>>>,
}

impl Server {
    /// Notes that something will be kept under `key`.
    ///
    /// # Errors
    /// `NoSpace`: a plugin may have an eighth as many descriptors kept as it may have open. The keeper's are everybody's.
    async fn reserve(&self, key: &str) -> Result<(), DriverError> {
        let limits = &self.spec.installed.manifest.limits;
        let most = usize::try_from(limits.open_files / SHARE).unwrap_or(usize::MAX).max(LEAST);
        let mut kept = self.kept.lock().await;
        if kept.is_none() {
            let listed = self.spec.environment.keeper.list(&self.prefix()).await;
            let listed = listed.map_err(|error| DriverError::system(&error, "cannot ask what is kept"))?;
            *kept = Some(listed.into_iter().collect());
        }
        let kept = kept.get_or_insert_default();
        if !kept.contains(key) && kept.len() >= most {
            let message = format!("plugin `{}` has {most} descriptors kept, and may have no more", self.spec.name);
            return Err(DriverError::new(Code::NoSpace, message).hint("discard those that are of no use any more"));
        }
        kept.insert(key.to_owned());
        Ok(())
    }

    /// The keeper's name for a plugin's key.
    fn named(&self, key: &str) -> Result<String, DriverError> {
        if key.is_empty() || key.len() > MAX_KEY || key.contains('\0') {
            return Err(DriverError::new(
                Code::InvalidConfig,
                format!("a key must have 1 to {MAX_KEY} bytes, not NUL"),
            ));
        }
        Ok(format!("{}{key}", self.prefix()))
    }

    fn prefix(&self) -> String {
        format!("plugin/{}/", self.spec.name)
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
        let kept = self.named(&key)?;
        self.reserve(&kept).await?;
        let stored = self.spec.environment.keeper.store(&kept, fd.as_fd()).await;
        stored.map_err(|error| DriverError::system(&error, format!("cannot keep descriptor `{key}`")))
    }

    async fn fetch(self, _: Context, key: String) -> Result<Option<AnyFd>, DriverError> {
        let fetched = self.spec.environment.keeper.fetch(&self.named(&key)?).await;
        let fetched =
            fetched.map_err(|error| DriverError::system(&error, format!("cannot fetch descriptor `{key}`")))?;
        Ok(fetched.map(AnyFd::new))
    }

    async fn discard(self, _: Context, key: String) -> Result<(), DriverError> {
        let named = self.named(&key)?;
        let discarded = self.spec.environment.keeper.discard(&named).await;
        if let (Ok(_), Some(kept)) = (&discarded, self.kept.lock().await.as_mut()) {
            kept.remove(&named);
        }
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
