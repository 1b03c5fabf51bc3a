//! The configuration in memory, and the two switches between the API and the daemon's main task.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use hull_plugin::ConfigMap;
use tokio::sync::watch;

use super::environment::Facts;
use super::store;
use crate::state::{Database, StateError};

pub(crate) struct Server {
    config: RwLock<Arc<ConfigMap>>,
    pub(super) facts: Facts,
    started: Instant,
    ready: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    /// One change at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
}

impl Server {
    pub(crate) fn load(database: &Database) -> Result<Self, StateError> {
        Ok(Self {
            config: RwLock::new(Arc::new(store::all(database)?)),
            facts: Facts::gathered(),
            started: Instant::now(),
            ready: watch::Sender::new(false),
            stop: watch::Sender::new(false),
            changing: tokio::sync::Mutex::new(()),
        })
    }

    pub(crate) fn config(&self) -> Arc<ConfigMap> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn publish(&self, config: ConfigMap) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Says that everything is loaded: `GET /internal/ready` answers from now on.
    pub(crate) fn set_ready(&self) {
        self.ready.send_replace(true);
    }

    pub(super) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Asks the daemon to stop the instances and end.
    pub(super) fn request_shutdown(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until somebody asks for that.
    pub(crate) async fn shutdown_requested(&self) {
        // Fails only without a sender, and `self` is one.
        let _ = self.stop.subscribe().wait_for(|asked| *asked).await;
    }
}
