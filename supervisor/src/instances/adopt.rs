//! After a start of hulld: cut plans are taken up, and what still runs is taken over.

use std::sync::Arc;

use super::busy::Busy;
use super::create::Create;
use super::delete::Delete;
use super::model::InstanceName;
use super::registry::{Entry, Live, Reservation, Running, RunningRow};
use super::rename::Rename;
use super::start::Start;
use super::{expand, power, settle, store, validate};
use crate::api::ApiError;
use crate::hull::Hull;
use crate::plans::{self, Plan};
use crate::state::{Entry as JournalEntry, StateError};
use crate::warnings::Kind;
use hull_plugin::{OperationId, ProcessFd};

/// Keeps everybody else from what a cut plan is about, until it is taken up.
pub(crate) fn guard(entry: &JournalEntry, hull: &Hull) -> Guards {
    let about =
        [Create::about(&entry.plan), Start::about(&entry.plan), Delete::about(&entry.plan), Rename::about(&entry.plan)];
    let kinds = [Create::KIND, Start::KIND, Delete::KIND, Rename::KIND];
    let names = kinds.into_iter().zip(about).filter(|(kind, _)| *kind == entry.kind).flat_map(|(_, names)| names);
    let names: Vec<InstanceName> = names.collect();
    hull.instances.recovering(&names, true);
    let held = names.iter().filter_map(|name| Guard::on(hull, name)).collect();
    Guards { hull: hull.clone(), names, held }
}

/// What a cut plan is about, kept from everybody else until this is dropped.
pub(crate) struct Guards {
    hull: Hull,
    names: Vec<InstanceName>,
    held: Vec<Guard>,
}

impl Drop for Guards {
    fn drop(&mut self) {
        self.held.clear(); // before anybody who waits is let go on
        self.hull.instances.recovering(&self.names, false);
    }
}

/// The right to an instance, or to its name when it is not there.
enum Guard {
    Instance { _busy: Busy },
    Name { _reserved: Reservation },
}

impl Guard {
    fn on(hull: &Hull, name: &InstanceName) -> Option<Self> {
        match hull.instances.get(name) {
            Ok(entry) => entry.claim("recovery").ok().map(|busy| Self::Instance { _busy: busy }),
            Err(_) => hull.instances.reserve(name).ok().map(|reserved| Self::Name { _reserved: reserved }),
        }
    }
}

/// The instances a journalled plan is about.
trait About: Plan {
    fn names(&self) -> Vec<InstanceName>;

    fn about(plan: &str) -> Vec<InstanceName> {
        serde_json::from_str::<Self>(plan).map(|plan| plan.names()).unwrap_or_default()
    }
}

impl About for Create {
    fn names(&self) -> Vec<InstanceName> {
        vec![self.record.name.clone()]
    }
}

impl About for Start {
    fn names(&self) -> Vec<InstanceName> {
        vec![self.record.name.clone()]
    }
}

impl About for Delete {
    fn names(&self) -> Vec<InstanceName> {
        vec![self.record.name.clone()]
    }
}

impl About for Rename {
    fn names(&self) -> Vec<InstanceName> {
        vec![self.from.clone(), self.renamed.name.clone()]
    }
}

/// Takes up one of this noun's plans; `false` if it is not one.
pub(crate) async fn resume_plans(entry: &JournalEntry, hull: &Hull) -> Result<bool, ApiError> {
    Ok(plans::resume::<Create>(entry, hull).await?
        || plans::resume::<Start>(entry, hull).await?
        || plans::resume::<Delete>(entry, hull).await?
        || plans::resume::<Rename>(entry, hull).await?)
}

/// Finds every instance that was running: still there, it is watched again; ended meanwhile, it is settled now.
///
/// Called before the API answers: it asks no driver. Returns those that the host's restart has ended and that are to run.
pub(crate) async fn adopt_all(hull: &Hull) -> Result<Vec<Arc<Entry>>, StateError> {
    let mut ended = Vec::new();
    for row in store::all_running(&hull.database).await? {
        let Some(entry) = row.instance.parse().ok().and_then(|name| hull.instances.get(&name).ok()) else { continue };
        match row.process.reopen() {
            Some(process) => {
                let (driver, pid) = (entry.record().driver.clone(), row.process.pid);
                if let Err(error) = hull.plugins.adopt_user_namespace(&driver, pid).await {
                    tracing::warn!(instance = row.instance, %error, "cannot find the user namespace of the instance's driver");
                }
                adopt(hull, &entry, row, ProcessFd::new(process));
            }
            None => ended.push((entry, row)),
        }
    }
    let to_start: Vec<_> = ended
        .iter()
        .filter(|(entry, row)| !row.process.is_of_this_boot() && starts_again(hull, entry))
        .map(|(entry, _)| entry.clone())
        .collect();
    for (entry, row) in ended {
        // Until what it held is given back, nobody may start it again: the two would undo each other's work.
        let names = vec![entry.record().name.clone()];
        hull.instances.recovering(&names, true);
        let hull_for_task = hull.clone();
        hull.tasks.spawn(async move {
            let hull = hull_for_task;
            let (_, devices) = expand::expand(&hull, &entry.record());
            settle::release(&hull, &entry.record(), &devices, &row.nics, &OperationId::random()).await;
            settle::note_stopped(&hull, &entry, &entry.record()).await;
            hull.instances.recovering(&names, false);
        });
    }
    Ok(to_start)
}

fn adopt(hull: &Hull, entry: &Arc<Entry>, row: RunningRow, process: ProcessFd) {
    tracing::info!(instance = %row.instance, pid = row.process.pid, "adopting a running instance");
    let running = Running::new(row.process.pid, process, row);
    let frozen = hull.cgroups.instance(entry.record().name.as_str()).is_frozen();
    entry.set_applied(Some(expand::expand(hull, &entry.record())));
    entry.set_live(if frozen { Live::Frozen(running.clone()) } else { Live::Running(running.clone()) });
    settle::watch(hull, entry, running);
}

/// `boot.autostart`, or as it was before.
fn starts_again(hull: &Hull, entry: &Entry) -> bool {
    let (config, _) = expand::expand(hull, &entry.record());
    config.get("boot.autostart").and_then(|value| validate::parse_boolean(value)).unwrap_or(true)
}

/// Starts what a restart of the host has ended, the most important first.
pub(crate) async fn start_again(hull: &Hull, mut instances: Vec<Arc<Entry>>) {
    let priority = |entry: &Arc<Entry>| {
        let (config, _) = expand::expand(hull, &entry.record());
        config.get("boot.autostart.priority").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0)
    };
    instances.sort_by_key(|entry| std::cmp::Reverse(priority(entry)));
    for entry in instances {
        hull.instances.recovered(entry.record().name.as_str()).await;
        if let Err(error) = power::start_quietly(hull, &entry).await {
            let name = &entry.record().name;
            tracing::warn!(instance = %name, %error, "cannot start the instance after the host's restart");
            hull.warnings.raise(Kind::AutostartFailed, &name.url(), error.message);
        }
        let (config, _) = expand::expand(hull, &entry.record());
        let delay = config.get("boot.autostart.delay").and_then(|text| text.parse().ok()).unwrap_or(0);
        tokio::time::sleep(std::time::Duration::from_secs(delay)).await;
    }
}
