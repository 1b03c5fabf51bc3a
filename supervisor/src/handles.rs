//! What hulld remembers for its plugins: the handles of their objects, by plugin.

use std::sync::{Arc, OnceLock};

use hull_plugin::{ConfigMap, PoolName, Recovered, StoredHandle};

use crate::hull::Hull;
use crate::plugins::{HandleSource, Notice};
use crate::warnings;

/// Answers from the nouns. Plugins exist before the nouns do: until [`Handles::set`], there is nothing to recover.
#[derive(Clone, Default)]
pub(crate) struct Handles(Arc<OnceLock<Hull>>);

impl Handles {
    pub(crate) fn set(&self, hull: Hull) {
        // Set once, at the start of the daemon.
        let _ = self.0.set(hull);
    }
}

impl Handles {
    /// A process that has just started knows of nothing half-made by its predecessor: what is there is compared.
    fn collect_after(&self, plugin: &str, pool: Option<&PoolName>) {
        let Some(hull) = self.0.get().cloned() else { return };
        let network = plugin.strip_prefix("network-").map(str::to_owned);
        match (pool.cloned(), network) {
            (Some(pool), _) => {
                drop(hull.clone().tasks.spawn(async move { crate::storage::collect(&hull, &pool).await }))
            }
            (None, Some(driver)) => {
                drop(hull.clone().tasks.spawn(async move { crate::networks::collect(&hull, &driver).await }))
            }
            (None, None) => {}
        }
    }
}

impl HandleSource for Handles {
    fn handles(&self, plugin: &str, pool: Option<&PoolName>) -> Vec<StoredHandle> {
        let Some(hull) = self.0.get() else { return Vec::new() };
        let driver = |kind: &str| plugin.strip_prefix(kind).and_then(|rest| rest.strip_prefix('-'));
        if pool.is_some() {
            return Vec::new(); // a pool's objects are found by their names
        }
        match (driver("instance"), driver("network")) {
            (Some(driver), _) => hull.instances.handles(driver),
            (_, Some(driver)) => {
                hull.networks.handles(driver).into_iter().chain(hull.instances.nic_handles()).collect()
            }
            _ => Vec::new(),
        }
    }

    fn recovered(&self, plugin: &str, pool: Option<&PoolName>, outcomes: Vec<(String, Recovered)>) {
        self.collect_after(plugin, pool);
        for (object, outcome) in outcomes {
            match outcome {
                Recovered::Adopted => tracing::debug!(plugin, object, "recovered"),
                // The end of an instance is seen by hulld itself: it watches the process.
                Recovered::Gone { status } => {
                    tracing::info!(plugin, object, ?status, "had ended while its driver was away")
                }
                Recovered::Unknown { why } => {
                    tracing::warn!(plugin, object, why, "its driver does not know what became of it")
                }
                Recovered::Lost => tracing::warn!(plugin, object, "its driver cannot find it by its handle"),
            }
        }
    }

    fn pool_config(&self, pool: &PoolName) -> Option<ConfigMap> {
        self.0.get()?.storage.find(pool.as_str()).map(|pool| pool.config.clone())
    }

    fn noticed(&self, plugin: &str, pool: Option<&PoolName>, notice: Notice) {
        if let Some(hull) = self.0.get() {
            warnings::of_plugin(&hull.warnings, plugin, pool, notice);
        }
    }
}
