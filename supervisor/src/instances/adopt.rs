//! After a start of hulld: cut plans are taken up, and what still runs is taken over.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::busy::Busy;
use super::create::Create;
use super::delete::Delete;
use super::given::Given;
use super::model::InstanceName;
use super::registry::{Entry, Live, Reservation, Running, RunningRow};
use super::rename::Rename;
use super::start::Start;
use super::{expand, given, power, settle, store, validate};
use crate::api::ApiError;
use crate::hull::Hull;
use crate::plans::Plan;
use crate::state::{Entry as JournalEntry, StateError};
use crate::warnings::Kind;
use hull_plugin::ProcessFd;

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

impl Guards {
    /// Gets what somebody still has, who is about to give it back; then requests need not wait any longer to hear so.
    pub(crate) async fn hold(&mut self) {
        for name in &self.names {
            while !self.held.iter().any(|guard| guard.is_on(name)) {
                match Guard::on(&self.hull, name) {
                    Some(guard) => self.held.push(guard),
                    None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        }
        self.let_go_on();
    }

    /// The plan cannot be taken up now: requests are told that the instance is busy instead of waiting for it.
    pub(crate) fn let_go_on(&self) {
        self.hull.instances.recovering(&self.names, false);
    }

    /// Why the instance stays busy.
    pub(crate) fn because(&self, error: &ApiError) {
        for entry in self.names.iter().filter_map(|name| self.hull.instances.get(name).ok()) {
            entry.set_blocked(Some(error.message.clone()));
        }
    }
}

impl Drop for Guards {
    fn drop(&mut self) {
        for entry in self.names.iter().filter_map(|name| self.hull.instances.get(name).ok()) {
            entry.set_blocked(None);
        }
        self.held.clear(); // before anybody who waits is let go on
        self.hull.instances.recovering(&self.names, false);
    }
}

/// The verb of who takes up a cut plan.
const RECOVERY: &str = "recovery";

/// The right to an instance, or to its name when it is not there.
enum Guard {
    Instance { name: InstanceName, _busy: Busy },
    Name { name: InstanceName, _reserved: Reservation },
}

impl Guard {
    fn on(hull: &Hull, name: &InstanceName) -> Option<Self> {
        match hull.instances.get(name) {
            Ok(entry) => entry.claim(RECOVERY).ok().map(|busy| Self::Instance { name: name.clone(), _busy: busy }),
            Err(_) => {
                hull.instances.reserve(name).ok().map(|reserved| Self::Name { name: name.clone(), _reserved: reserved })
            }
        }
    }

    fn is_on(&self, name: &InstanceName) -> bool {
        match self {
            Self::Instance { name: held, .. } | Self::Name { name: held, .. } => held == name,
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

crate::plans::of_noun!(Create, Start, Delete, Rename);

/// Finds every instance that was running: still there, it is watched again; ended meanwhile, it is settled now.
///
/// Called before the API answers: it waits for no driver. Returns those that do not run and are to.
pub(crate) async fn adopt_all(hull: &Hull) -> Result<Vec<Arc<Entry>>, StateError> {
    let first = is_first(hull).await;
    let (mut ended, mut drivers) = (Vec::new(), BTreeSet::new());
    for row in store::all_running(&hull.database).await? {
        let Some(entry) = row.instance.parse().ok().and_then(|name| hull.instances.get(&name).ok()) else { continue };
        match row.process.reopen() {
            Some(process) => {
                let (driver, pid) = (entry.record().driver.clone(), row.process.pid);
                if let Err(error) = hull.plugins.adopt_user_namespace(&driver, pid).await {
                    tracing::warn!(instance = row.instance, %error, "cannot find the user namespace of the instance's driver");
                }
                adopt(hull, &entry, row, ProcessFd::new(process));
                drivers.insert(driver);
            }
            None => ended.push((entry, row)),
        }
    }
    for driver in drivers {
        wake(hull, driver);
    }
    let by_the_host = ended.iter().filter(|(_, row)| !row.process.is_of_this_boot()).map(|(entry, _)| entry.clone());
    let mut to_start: Vec<_> = by_the_host.filter(|entry| autostart(hull, entry).unwrap_or(true)).collect();
    if first {
        let ended_now = |entry: &Arc<Entry>| ended.iter().any(|(one, _)| Arc::ptr_eq(one, entry));
        let others =
            hull.instances.all().into_iter().filter(|entry| entry.live().running().is_none() && !ended_now(entry));
        to_start
            .extend(others.filter(|entry| autostart(hull, entry).unwrap_or_else(|| was_stopped_with_the_host(entry))));
    }
    for (entry, row) in ended {
        // Until what it held is given back, nobody may start it again: the two would undo each other's work.
        let names = vec![entry.record().name.clone()];
        hull.instances.recovering(&names, true);
        let hull_for_task = hull.clone();
        hull.tasks.spawn(async move { settle::settle_missed(&hull_for_task, &entry, &row).await });
    }
    Ok(to_start)
}

/// Starts a driver that will be asked for soon: clients have waited already.
fn wake(hull: &Hull, driver: String) {
    let plugins = hull.plugins.clone();
    hull.tasks.spawn(async move {
        let woken = async { plugins.instance(&driver)?.describe().await };
        if let Err(error) = woken.await {
            tracing::debug!(driver, %error, "the driver of a running instance does not start yet");
        }
    });
}

fn adopt(hull: &Hull, entry: &Arc<Entry>, row: RunningRow, process: ProcessFd) {
    tracing::info!(instance = %row.instance, pid = row.process.pid, "adopting a running instance");
    let running = Running::new(row.process.pid, process, row);
    let frozen = hull.cgroups.instance(entry.record().name.as_str()).is_frozen();
    let is_as_wanted = running.row().given == Given::wanted(hull, &entry.record());
    entry.set_live(if frozen { Live::Frozen(running.clone()) } else { Live::Running(running.clone()) });
    settle::watch(hull, entry, running);
    if !is_as_wanted {
        let (hull_for_task, entry) = (hull.clone(), entry.clone());
        hull.tasks.spawn(async move { finish_change(&hull_for_task, &entry).await });
    }
}

/// The end of hulld has cut a change of what the instance has.
async fn finish_change(hull: &Hull, entry: &Arc<Entry>) {
    let Ok(_busy) = entry.claim_when_free("update").await else { return }; // deleted
    if let Err(error) = given::apply(hull, entry).await {
        let name = &entry.record().name;
        tracing::warn!(instance = %name, %error, "cannot bring the running instance to what it should have");
    }
}

/// `boot.autostart`; `None`: as it was before.
fn autostart(hull: &Hull, entry: &Entry) -> Option<bool> {
    let (config, _) = expand::expand(hull, &entry.record());
    config.get("boot.autostart").and_then(|value| validate::parse_boolean(value))
}

/// Stopped by [`power::stop_all`], which leaves the note that it ran.
fn was_stopped_with_the_host(entry: &Entry) -> bool {
    entry.record().config.get("volatile.last_state.power").is_some_and(|power| power == "RUNNING")
}

/// Whether this is the start of the daemon, and not of another supervisor in place of one that crashed.
async fn is_first(hull: &Hull) -> bool {
    match hull.keeper.fetch(STARTED).await {
        Ok(None) => {}
        Ok(Some(_)) => return false,
        Err(error) => {
            tracing::warn!(%error, "the keeper does not say whether this is the daemon's start");
            return false;
        }
    }
    let noted = async { hull.keeper.store(STARTED, std::fs::File::open("/dev/null")?.as_fd()).await };
    if let Err(error) = noted.await {
        tracing::warn!(%error, "cannot note that the daemon has started");
    }
    true
}

/// What the keeper keeps from the daemon's start on.
const STARTED: &str = "daemon/started";

/// How long the instances after it wait for the start of one.
const START: Duration = Duration::from_secs(5);
/// How long an instance whose pool, network or driver is not there yet is tried again after a start of the daemon.
const PATIENCE: Duration = Duration::from_secs(600);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Starts what is to run, the most important first.
pub(crate) async fn start_again(hull: &Hull, mut instances: Vec<Arc<Entry>>) {
    let number = |entry: &Arc<Entry>, key: &str| {
        let (config, _) = expand::expand(hull, &entry.record());
        config.get(key).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0)
    };
    instances.sort_by_key(|entry| std::cmp::Reverse(number(entry, "boot.autostart.priority")));
    for entry in instances {
        let delay = u64::try_from(number(&entry, "boot.autostart.delay")).unwrap_or(0);
        let hull_for_task = hull.clone();
        let start = hull.tasks.spawn(async move { start_with_the_daemon(&hull_for_task, &entry).await });
        // One whose pool or driver hangs goes on beside the others.
        if tokio::time::timeout(START, start).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(delay)).await;
        }
    }
}

async fn start_with_the_daemon(hull: &Hull, entry: &Arc<Entry>) {
    hull.instances.recovered(entry.record().name.as_str()).await;
    let Err(error) = power::start_quietly(hull, entry).await else { return };
    let name = &entry.record().name;
    tracing::warn!(instance = %name, %error, "cannot start the instance with the daemon");
    hull.warnings.raise(Kind::AutostartFailed, &name.url(), error.message.clone());
    if error.status == http::StatusCode::SERVICE_UNAVAILABLE {
        let (hull_for_task, entry) = (hull.clone(), entry.clone());
        hull.tasks.spawn(async move { start_when_possible(&hull_for_task, &entry).await });
    }
}

/// What it needs may come later: a disk that is mounted late, a bridge that is made by another service.
async fn start_when_possible(hull: &Hull, entry: &Arc<Entry>) {
    let (until, mut pause) = (Instant::now() + PATIENCE, FIRST_PAUSE);
    let name = entry.record().name.clone();
    while Instant::now() < until {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        let deleted = !hull.instances.get(&name).is_ok_and(|now| Arc::ptr_eq(&now, entry));
        if deleted || entry.live().running().is_some() {
            return;
        }
        match power::start_quietly(hull, entry).await {
            Ok(()) => return tracing::info!(instance = %name, "started now that what it needs is there"),
            Err(error) => tracing::debug!(instance = %name, %error, "still cannot be started"),
        }
    }
    tracing::warn!(instance = %name, "not started with the daemon: what it needs did not come");
}
