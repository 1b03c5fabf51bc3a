//! How much work on a pool is admitted: what its driver says it runs and lets wait.

use hull_plugin::{PluginKind, PoolName};

use super::registry::Storage;
use crate::hull::Hull;
use crate::operations::Load;

impl Storage {
    /// `None`: there is no such pool, which the work itself will say.
    pub(crate) fn load_of(&self, hull: &Hull, pool: &PoolName) -> Option<Load> {
        let pool = self.find(pool.as_str())?;
        let room = hull.plugins.room(PluginKind::Storage, &pool.driver, Some(&pool.name));
        Some(Load { of: format!("storage pool \"{}\"", pool.name), most: room.running.saturating_add(room.waiting) })
    }
}
