//! What a driver may ask of Hull: the upcalls.

use serde::{Deserialize, Serialize};

use crate::{AnyFd, DriverError, OperationId, ProcessFd};

/// How far a long call is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done: `unpack`, `download`, `install packages`.
    pub stage: String,
    /// Of 100, if known.
    pub percent: Option<u8>,
    /// Bytes so far.
    pub processed: Option<u64>,
    /// Bytes per second.
    pub speed: Option<u64>,
}

/// A helper process that must outlive the driver: dnsmasq, virtiofsd, a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Unique within the plugin, as `dnsmasq-hullbr0`. A file name.
    pub key: String,
    /// Which of the manifest's `[[service]]` entries this is: that entry fixes program and rights.
    pub service: String,
    /// Arguments after the program's name. User strings must not become options: `--key=value`, never bare.
    pub arguments: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceState {
    Running { pid: i32 },
    Exited { status: i32 },
    Unknown,
}

/// Served by Hull on the plugin's third channel.
#[tarpc::service]
pub trait Host {
    /// Progress of a running call, at most ten times a second.
    async fn progress(op: OperationId, progress: Progress);

    /// Keeps `fd` under `key` until it is discarded or Hull's keeper ends: it survives this process and hulld itself.
    /// An older descriptor under the same key is replaced.
    async fn store(key: String, fd: AnyFd) -> Result<(), DriverError>;
    /// A stored descriptor, or `None`.
    async fn fetch(key: String) -> Result<Option<AnyFd>, DriverError>;
    async fn discard(key: String) -> Result<(), DriverError>;

    /// Starts a service unless one with this key and the same arguments runs; with other arguments it is replaced.
    /// The service sees the plugin's state directory under the same path as the plugin.
    ///
    /// # Errors
    /// `Permission`: the manifest has no such service.
    async fn start_service(spec: ServiceSpec) -> Result<ProcessFd, DriverError>;
    async fn stop_service(key: String) -> Result<(), DriverError>;
    async fn service_state(key: String) -> Result<ServiceState, DriverError>;
}

/// The driver's end of the upcall channel: [`HostClient`] with deadlines filled in.
#[derive(Clone)]
pub struct HostHandle(HostClient);

const UPCALL: std::time::Duration = std::time::Duration::from_secs(10);

impl HostHandle {
    pub fn new(client: HostClient) -> Self {
        Self(client)
    }

    /// Reports progress; a lost report is no error.
    pub async fn progress(&self, op: &OperationId, progress: Progress) {
        if let Err(error) = self.0.progress(context(), op.clone(), progress).await {
            tracing::debug!(%error, "progress report lost");
        }
    }

    pub async fn store(&self, key: impl Into<String>, fd: impl Into<AnyFd>) -> Result<(), DriverError> {
        self.0.store(context(), key.into(), fd.into()).await.map_err(|error| lost(&error))?
    }

    pub async fn fetch(&self, key: impl Into<String>) -> Result<Option<AnyFd>, DriverError> {
        self.0.fetch(context(), key.into()).await.map_err(|error| lost(&error))?
    }

    pub async fn discard(&self, key: impl Into<String>) -> Result<(), DriverError> {
        self.0.discard(context(), key.into()).await.map_err(|error| lost(&error))?
    }

    pub async fn start_service(&self, spec: ServiceSpec) -> Result<ProcessFd, DriverError> {
        self.0.start_service(context(), spec).await.map_err(|error| lost(&error))?
    }

    pub async fn stop_service(&self, key: impl Into<String>) -> Result<(), DriverError> {
        self.0.stop_service(context(), key.into()).await.map_err(|error| lost(&error))?
    }

    pub async fn service_state(&self, key: impl Into<String>) -> Result<ServiceState, DriverError> {
        self.0.service_state(context(), key.into()).await.map_err(|error| lost(&error))?
    }
}

fn context() -> tarpc::context::Context {
    hull_wire::context(crate::logging::current_request(), UPCALL)
}

fn lost(error: &tarpc::client::RpcError) -> DriverError {
    DriverError::new(crate::Code::Unavailable, "hulld does not answer").because(error)
}
