//! The connection to one running plugin process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hull_plugin::image::ImageSourceClient;
use hull_plugin::instance::InstanceDriverClient;
use hull_plugin::network::NetworkDriverClient;
use hull_plugin::storage::StorageDriverClient;
use hull_plugin::tarpc::client::RpcError;
use hull_plugin::{Code, Description, DriverError, Health, LifecycleClient, RequestId, context};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::output::Output;

/// The client of the contract that the plugin's kind speaks.
pub(crate) enum DriverClient {
    Storage(StorageDriverClient),
    Network(NetworkDriverClient),
    Instance(InstanceDriverClient),
    Image(ImageSourceClient),
}

/// A process that has greeted.
pub(crate) struct Session {
    pub(crate) generation: u64,
    pub(crate) pid: i32,
    pub(crate) description: Arc<Description>,
    pub(crate) lifecycle: LifecycleClient,
    pub(crate) driver: DriverClient,
    /// Cancelled when the process is gone.
    pub(crate) gone: CancellationToken,
    /// Whether the pool has been opened in this process (storage drivers).
    pub(crate) opened: OnceCell<()>,
    pub(crate) heartbeat: Arc<Heartbeat>,
    pub(crate) output: Output,
}

/// When the process last showed progress.
pub(crate) struct Heartbeat {
    origin: Instant,
    last: AtomicU64,
}

macro_rules! clients {
    ($($name:ident, $kind:ident, $client:ident;)*) => {$(
        pub(crate) fn $name(&self) -> Result<&$client, RpcError> {
            match &self.driver {
                DriverClient::$kind(client) => Ok(client),
                _ => Err(RpcError::Shutdown), // handles are made by kind: not reached
            }
        }
    )*};
}

impl Session {
    clients! {
        storage, Storage, StorageDriverClient;
        network, Network, NetworkDriverClient;
        instance, Instance, InstanceDriverClient;
        image, Image, ImageSourceClient;
    }

    /// Asks the plugin how it is, for at most `patience`.
    pub(crate) async fn health(&self, patience: Duration) -> Result<(), DriverError> {
        let answer = self.lifecycle.health(context(RequestId(0), patience));
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(Health::Ready)) => Ok(()),
            Ok(Ok(Health::Unhealthy { why })) => {
                Err(DriverError::new(Code::Unavailable, "it says it is not well").because(why))
            }
            Ok(Err(error)) => Err(DriverError::new(Code::Unavailable, "it does not answer").because(error)),
            Err(_elapsed) => {
                Err(DriverError::new(Code::DeadlineExceeded, format!("it gave no sign of life for {patience:?}")))
            }
        }
    }
}

impl Heartbeat {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now(), last: AtomicU64::new(0) }
    }

    pub(crate) fn beat(&self) {
        let now = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    pub(crate) fn silent_for(&self) -> Duration {
        self.origin.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }
}
