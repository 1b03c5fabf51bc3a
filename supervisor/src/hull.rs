//! What handlers and plans work with: one shared handle to every noun.
//!
//! A function takes this only if it spans nouns; what needs one noun takes that noun.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::cgroups::Cgroups;
use crate::events::Bus;
use crate::gates::Gates;
use crate::images::Images;
use crate::instances::Instances;
use crate::keeper::KeeperClient;
use crate::networks::Networks;
use crate::operations::Registry;
use crate::plans::Leftovers;
use crate::plugins::Plugins;
use crate::profiles::Profiles;
use crate::recovery::Recovery;
use crate::server::Server;
use crate::state::{Database, Journal};
use crate::storage::Storage;
use crate::upgrade::Upgrade;
use crate::warnings::Warnings;

/// The supervisor, shared by everything that runs in it.
#[derive(Clone)]
pub(crate) struct Hull(Arc<Parts>);

/// See [`Hull`].
pub(crate) struct Parts {
    /// `HULL_DIR`
    pub(crate) directory: PathBuf,
    pub(crate) database: Arc<Database>,
    pub(crate) journal: Journal,
    pub(crate) leftovers: Leftovers,
    pub(crate) events: Bus,
    pub(crate) operations: Registry,
    /// Everything that runs beside requests; awaited when the daemon ends.
    pub(crate) tasks: TaskTracker,
    pub(crate) gates: Gates,
    pub(crate) recovery: Recovery,
    pub(crate) plugins: Plugins,
    pub(crate) cgroups: Cgroups,
    pub(crate) keeper: KeeperClient,
    pub(crate) server: Server,
    pub(crate) upgrade: Upgrade,
    pub(crate) profiles: Profiles,
    pub(crate) storage: Storage,
    pub(crate) networks: Networks,
    pub(crate) images: Images,
    pub(crate) instances: Instances,
    pub(crate) warnings: Warnings,
}

impl Hull {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for Hull {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
