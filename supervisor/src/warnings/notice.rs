//! What is noticed of a plugin's process, as warnings.

use hull_plugin::PoolName;

use super::model::Kind;
use super::registry::Warnings;
use crate::plugins::Notice;

/// Raises, or resolves, what the notice is about.
pub(crate) fn of_plugin(warnings: &Warnings, plugin: &str, pool: Option<&PoolName>, notice: Notice) {
    let process = pool.map_or_else(|| plugin.to_owned(), |pool| format!("{plugin}@{pool}"));
    let process = format!("/1.0/plugins/{process}");
    let pool = pool.map(|pool| format!("/1.0/storage-pools/{pool}"));
    match notice {
        Notice::OutOfService { why } => {
            let what = format!(
                "It ended too often: {why}; `hull doctor` says more, `hull plugin restart {plugin}` tries anew"
            );
            warnings.raise(Kind::PluginOutOfService, &process, what);
        }
        Notice::Works => warnings.resolve(Kind::PluginOutOfService, &process),
        Notice::KeepsEnding { how } => {
            warnings.raise(Kind::PluginKeepsEnding, &process, format!("It was started again and again: {how}"));
        }
        Notice::Well => warnings.resolve(Kind::PluginKeepsEnding, &process),
        Notice::PoolClosed { why } => {
            if let Some(pool) = pool {
                warnings.raise(Kind::PoolUnavailable, &pool, why);
            }
        }
        Notice::PoolOpened => {
            if let Some(pool) = pool {
                warnings.resolve(Kind::PoolUnavailable, &pool);
            }
        }
    }
}
