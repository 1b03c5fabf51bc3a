//! Where the handles of a plugin's objects are kept: the state layer, seen from here.

use hull_plugin::{ConfigMap, PoolName, Recovered, StoredHandle};

/// What the administrator should know of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It is not started again by itself for a while.
    OutOfService {
        why: String,
    },
    /// It was out of service, and a call has worked.
    Works,
    /// It ended too often lately.
    KeepsEnding {
        how: String,
    },
    /// It has lived for a minute.
    Well,
    PoolClosed {
        why: String,
    },
    PoolOpened,
}

/// What hulld remembers for its plugins. Called from async tasks: answers must not wait for anything slow.
pub trait HandleSource: Send + Sync + 'static {
    /// The handles of all objects of `plugin` (of one pool, for storage).
    fn handles(&self, plugin: &str, pool: Option<&PoolName>) -> Vec<StoredHandle>;

    /// What became of them while the plugin was away: the object's name with its outcome. Called before the plugin is
    /// called for anything else.
    fn recovered(&self, plugin: &str, pool: Option<&PoolName>, outcomes: Vec<(String, Recovered)>);

    /// The configuration of a pool that exists, with which a fresh process opens it; `None` while it is being created.
    fn pool_config(&self, pool: &PoolName) -> Option<ConfigMap>;

    /// Something happened to a process that the administrator should know.
    fn noticed(&self, _plugin: &str, _pool: Option<&PoolName>, _notice: Notice) {}
}

/// Remembers nothing: for tests, and for plugins without objects.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHandles;

impl HandleSource for NoHandles {
    fn handles(&self, _: &str, _: Option<&PoolName>) -> Vec<StoredHandle> {
        Vec::new()
    }

    fn recovered(&self, _: &str, _: Option<&PoolName>, _: Vec<(String, Recovered)>) {}

    fn pool_config(&self, _: &PoolName) -> Option<ConfigMap> {
        None
    }
}
