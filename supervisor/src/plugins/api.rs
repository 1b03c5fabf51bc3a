//! `/1.0/plugins`: what is installed, how it is, and its replacement. Hull's own extension of the API.

use std::collections::BTreeMap;
use std::path::PathBuf;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use hull_api::{Plugin, PluginContract, PluginProcess, PluginRestartPost, PluginStatistics, PluginUpgradePost};
use serde_json::json;

use super::permissions::permissions;
use super::process::{Installed, Process, Status};
use super::registry::{FailureKind, PluginState, Plugins, state_of};
use super::replace::{Grant, Restart};
use crate::api::{ApiError, Json, Peer, Reply, Scope, sync};
use crate::events::Bus;
use crate::hull::Hull;
use crate::operations::Spec;

/// What each process has done, by its name.
type Statistics = BTreeMap<String, PluginStatistics>;

pub(crate) fn routes() -> Router<Hull> {
    Router::new()
        .route("/1.0/plugins", get(list))
        .route("/1.0/plugins/{name}", get(show))
        .route("/1.0/plugins/{name}/logs", get(logs))
        .route("/1.0/plugins/{name}/restart", post(restart))
        .route("/1.0/plugins/{name}/upgrade", post(upgrade))
        .route("/1.0/plugins/{name}/rollback", post(rollback))
}

/// Tells listeners of every process that ends unasked, and of every plugin that is given up.
pub(crate) async fn announce_failures(plugins: Plugins, events: Bus) {
    let mut failures = plugins.failures();
    loop {
        match failures.recv().await {
            Ok(failure) => {
                let context = json!({"process": failure.process, "reason": failure.reason});
                let action = match failure.kind {
                    FailureKind::Ended => "plugin-ended",
                    FailureKind::OutOfService => "plugin-failed",
                };
                events.lifecycle_with(action, &url(&failure.plugin), context);
            }
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        }
    }
}

async fn list(State(hull): State<Hull>, scope: Scope) -> Reply {
    let all = hull.plugins.all_installed();
    if scope.recursion() == 0 {
        return sync(&all.iter().map(|installed| url(&installed.manifest.name)).collect::<Vec<_>>());
    }
    let statistics = hull.plugins.statistics().await;
    sync(&all.iter().map(|installed| rendered(&hull.plugins, installed, None, &statistics)).collect::<Vec<_>>())
}

async fn show(State(hull): State<Hull>, Path(name): Path<String>) -> Reply {
    let installed = hull.plugins.installed(&name)?;
    // Costs a look at the files, which is why lists do without.
    let (plugins, plugin) = (hull.plugins.clone(), name.clone());
    let previous = tokio::task::spawn_blocking(move || plugins.previous_version(&plugin)).await.unwrap_or_default();
    let statistics = hull.plugins.statistics().await;
    sync(&rendered(&hull.plugins, &installed, previous, &statistics))
}

/// Text by process.
async fn logs(State(hull): State<Hull>, Path(name): Path<String>) -> Reply {
    hull.plugins.installed(&name)?;
    let processes = hull.plugins.processes_of(&name);
    let texts = processes.iter().map(|process| (process.spec.name.to_string(), process.output()));
    sync(&texts.collect::<BTreeMap<_, _>>())
}

async fn restart(State(hull): State<Hull>, Path(name): Path<String>, Json(post): Json<PluginRestartPost>) -> Reply {
    hull.plugins.installed(&name)?;
    let how = if post.force { Restart::ByForce } else { Restart::Gently };
    let work = hull.clone();
    hull.operations.start(Spec::task("Restarting plugin", "plugins", url(&name)), move |_| async move {
        work.plugins.restart(&name, how).await?;
        work.events.lifecycle("plugin-restarted", &url(&name));
        Ok(())
    })
}

async fn upgrade(
    State(hull): State<Hull>,
    peer: Peer,
    Path(name): Path<String>,
    Json(post): Json<PluginUpgradePost>,
) -> Reply {
    hull.plugins.installed(&name)?;
    let source = (!post.source.is_empty()).then(|| PathBuf::from(&post.source));
    if source.as_ref().is_some_and(|source| !source.is_absolute()) {
        return Err(ApiError::bad_request(format!("`{}` is not an absolute path", post.source)));
    }
    tracing::info!(plugin = name, source = post.source, grant = post.grant, uid = peer.uid, "upgrade asked for");
    let grant = if post.grant { Grant::WhatItAsksFor } else { Grant::Nothing };
    let work = hull.clone();
    hull.operations.start(Spec::task("Upgrading plugin", "plugins", url(&name)), move |_| async move {
        let version = work.plugins.upgrade(&name, source.as_deref(), grant).await?;
        work.events.lifecycle_with("plugin-upgraded", &url(&name), json!({"version": version}));
        Ok(())
    })
}

async fn rollback(State(hull): State<Hull>, Path(name): Path<String>) -> Reply {
    hull.plugins.installed(&name)?;
    let work = hull.clone();
    hull.operations.start(Spec::task("Rolling plugin back", "plugins", url(&name)), move |_| async move {
        let version = work.plugins.rollback(&name).await?;
        work.events.lifecycle_with("plugin-rolled-back", &url(&name), json!({"version": version}));
        Ok(())
    })
}

fn url(plugin: &str) -> String {
    format!("/1.0/plugins/{plugin}")
}

fn rendered(
    plugins: &Plugins,
    installed: &Installed,
    previous_version: Option<String>,
    statistics: &Statistics,
) -> Plugin {
    let manifest = &installed.manifest;
    let processes: Vec<PluginProcess> =
        plugins.processes_of(&manifest.name).iter().map(|process| rendered_process(process, statistics)).collect();
    Plugin {
        name: manifest.name.clone(),
        kind: format!("{:?}", manifest.kind).to_lowercase(),
        description: manifest.description.clone(),
        version: manifest.version.clone(),
        previous_version,
        contract: PluginContract { oldest: manifest.contract.oldest, newest: manifest.contract.newest },
        executable: installed.executable.display().to_string(),
        status: summary(&processes).to_owned(),
        permissions: permissions(manifest),
        processes,
    }
}

/// The worst of its processes; `Stopped` without any.
fn summary(processes: &[PluginProcess]) -> &str {
    let rank = |status: &str| ["Stopped", "Ready", "Starting", "Failed"].iter().position(|known| *known == status);
    processes.iter().map(|process| process.status.as_str()).max_by_key(|status| rank(status)).unwrap_or("Stopped")
}

fn rendered_process(process: &Process, statistics: &Statistics) -> PluginProcess {
    let facts = process.facts();
    let session = match process.status() {
        Status::Ready(session) => Some(session),
        _ => None,
    };
    let (status, pid, reason) = match state_of(&process.status()) {
        PluginState::Stopped => ("Stopped", 0, String::new()),
        PluginState::Starting => ("Starting", 0, String::new()),
        PluginState::Ready { pid } => ("Ready", pid, String::new()),
        PluginState::Failed { reason } => ("Failed", 0, reason),
    };
    let since = facts.since.filter(|_| status == "Ready").map(DateTime::<Utc>::from);
    let uptime = since.map(|since| (Utc::now() - since).num_seconds().max(0)).unwrap_or_default();
    PluginProcess {
        name: process.spec.name.to_string(),
        pool: process.spec.name.pool.as_ref().map(ToString::to_string).unwrap_or_default(),
        status: status.to_owned(),
        reason,
        pid,
        version: facts.installed.manifest.version.clone(),
        contract: session.as_ref().map_or(0, |session| session.contract),
        since: since.map(Into::into).unwrap_or_default(),
        uptime,
        restarts: facts.starts.saturating_sub(1),
        calls: session.as_ref().map_or(0, |session| session.calls.count() as u64),
        draining: facts.draining as u64,
        longest_hold: facts.held.as_secs_f64() * 1000.0,
        control_group: session.map(|session| session.slot.group(&process.spec)).unwrap_or_default(),
        last_end: facts.last_end.as_deref().unwrap_or_default().to_owned(),
        statistics: statistics.get(&process.spec.name.to_string()).cloned(),
    }
}
