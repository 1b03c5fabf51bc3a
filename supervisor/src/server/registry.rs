//! The configuration in memory, and the two switches between the API and the daemon's main task.

use std::sync::{Arc, PoisonError, RwLock};

use hull_plugin::ConfigMap;
use tokio::sync::watch;

use super::environment::Facts;
use super::store;
use crate::state::{Database, StateError};

pub(crate) struct Server {
    config: RwLock<Arc<ConfigMap>>,
    pub(super) facts: Facts,
    ready: watch::Sender<bool>,
    stop: watch::Sender<Option<Stop>>,
    /// One change at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
}

/// How the daemon is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Instances are stopped first, each given this many seconds at most (`None`: its own or the server's default).
    WithInstances { timeout: Option<u64> },
    /// Instances run on, for the next daemon.
    Alone,
}

impl Server {
    pub(crate) fn load(database: &Database) -> Result<Self, StateError> {
        Ok(Self {
            config: RwLock::new(Arc::new(store::all(database)?)),
            facts: Facts::gathered(),
            ready: watch::Sender::new(false),
            stop: watch::Sender::new(None),
            changing: tokio::sync::Mutex::new(()),
        })
    }

    pub(crate) fn config(&self) -> Arc<ConfigMap> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn publish(&self, config: ConfigMap) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// Says that everything is loaded: `GET /internal/ready` answers from now on.
    pub(crate) fn set_ready(&self) {
        self.ready.send_replace(true);
    }

    pub(super) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Asks the daemon to end. The first to ask decides how.
    pub(crate) fn request_stop(&self, stop: Stop) {
        self.stop.send_if_modified(|asked| asked.is_none() && asked.replace(stop).is_none());
    }

    /// Waits until somebody asks the daemon to end.
    pub(crate) async fn stop(&self) -> Stop {
        let mut asked = self.stop.subscribe();
        loop {
            if let Some(stop) = *asked.borrow_and_update() {
                return stop;
            }
            if asked.changed().await.is_err() {
                return Stop::Alone; // not reached: `self` holds the sender
            }
        }
    }
}
