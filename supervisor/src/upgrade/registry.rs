//! What an upgrade needs of the daemon's main task, and the other way round.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::gateway::Gateways;
use crate::operations::Leaving;

pub(crate) struct Upgrade {
    /// This supervisor's program.
    pub(super) executable: PathBuf,
    /// What the keeper was started from: a package's next version is put there.
    pub(super) installed: PathBuf,
    /// Known when they serve.
    gateways: watch::Sender<Option<Gateways>>,
    left: watch::Sender<bool>,
    /// Kept to the end of the process.
    leaving: Mutex<Option<Leaving>>,
    /// One at a time.
    pub(super) running: Arc<tokio::sync::Mutex<()>>,
}

impl Upgrade {
    pub(crate) fn new(executable: &Path) -> Self {
        Self {
            executable: executable.to_owned(),
            installed: crate::sys::parents_program().unwrap_or_else(|_| executable.to_owned()),
            gateways: watch::Sender::new(None),
            left: watch::Sender::new(false),
            leaving: Mutex::default(),
            running: Arc::default(),
        }
    }

    /// Clients are served from now on.
    pub(crate) fn opened(&self, gateways: Gateways) {
        self.gateways.send_replace(Some(gateways));
    }

    /// Resolves when this supervisor has handed everything over.
    pub(crate) async fn left(&self) {
        // Fails only without a sender, and `self` is one.
        let _ = self.left.subscribe().wait_for(|left| *left).await;
    }

    pub(super) fn leave(&self, leaving: Leaving) {
        *self.leaving.lock().unwrap_or_else(PoisonError::into_inner) = Some(leaving);
        self.left.send_replace(true);
    }

    /// The gateways, as soon as they serve.
    pub(super) async fn gateways(&self) -> Gateways {
        loop {
            let mut gateways = self.gateways.subscribe();
            if let Ok(found) = gateways.wait_for(Option::is_some).await
                && let Some(found) = found.clone()
            {
                return found;
            }
        }
    }
}
