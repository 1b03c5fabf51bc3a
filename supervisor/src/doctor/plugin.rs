//! How each plugin is: its state, how it ended, its last words, where it hangs, and the command that clears it.

use std::collections::BTreeMap;

use hull_api::{DoctorEnd, DoctorPlugin, PluginStatistics, Timestamp};

use crate::hull::Hull;
use crate::plugins::{Examined, PluginState};

/// Every process, and every plugin that has none.
pub(super) async fn all(hull: &Hull) -> Vec<DoctorPlugin> {
    let (examined, mut statistics) = tokio::join!(hull.plugins.examined(), hull.plugins.statistics());
    let mut all: Vec<DoctorPlugin> = examined.into_iter().map(|one| shown(one, &mut statistics)).collect();
    for (manifest, _) in hull.plugins.manifests() {
        if !all.iter().any(|one| one.plugin == manifest.name) {
            let (name, plugin, state) = (manifest.name.clone(), manifest.name, "stopped".to_owned());
            let reason = "nothing has needed it yet".to_owned();
            all.push(DoctorPlugin { name, plugin, state, healthy: true, reason, ..DoctorPlugin::default() });
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

fn shown(examined: Examined, statistics: &mut BTreeMap<String, PluginStatistics>) -> DoctorPlugin {
    let Examined { observed, complaint, kernel_stack } = examined;
    let (state, pid, reason) = match (&observed.state, complaint) {
        (PluginState::Ready { pid }, None) => ("ready", *pid, String::new()),
        (PluginState::Ready { pid }, Some(complaint)) => ("hung", *pid, complaint),
        (PluginState::Stopped, _) => ("stopped", 0, "nothing has needed it yet".to_owned()),
        (PluginState::Starting, _) => ("starting", 0, String::new()),
        (PluginState::Failed { reason }, _) => ("out of service", 0, reason.clone()),
    };
    let healthy = !matches!(state, "hung" | "out of service");
    let end = |(at, how): (chrono::DateTime<chrono::Utc>, String)| DoctorEnd { at: Timestamp(at), how };
    DoctorPlugin {
        object: observed.pool.map(|pool| format!("/1.0/storage-pools/{pool}")).unwrap_or_default(),
        state: state.to_owned(),
        healthy,
        pid,
        reason,
        ends: observed.ends.into_iter().map(end).collect(),
        log: observed.last_lines,
        kernel_stack,
        command: if healthy { String::new() } else { format!("hull plugin restart {}", observed.plugin) },
        statistics: statistics.remove(&observed.name).unwrap_or_default(),
        name: observed.name,
        plugin: observed.plugin,
    }
}
