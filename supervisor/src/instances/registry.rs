//! All instances in memory: what is stored of each, what runs of it, and which verb is at work on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use hull_plugin::network::Attachment;
use hull_plugin::{Handle, ProcessFd, StoredHandle};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::busy::{Busy, Claims};
use super::given::Given;
use super::identity::ProcessIdentity;
use super::model::{InstanceName, Record};
use super::{configure, store};
use crate::api::ApiError;
use crate::hull::Hull;
use crate::state::{Database, StateError};

/// How many instances follow a change of their profile at once.
const FOLLOWERS: usize = 8;
/// How long a change of a profile waits for another verb on an instance.
const OTHERS: Duration = Duration::from_secs(30);
/// How long requests wait for the recovery of their instance.
const RECOVERY: Duration = Duration::from_secs(30);

/// Every instance.
pub(crate) struct Instances {
    all: RwLock<BTreeMap<InstanceName, Arc<Entry>>>,
    /// Names of instances that are being made.
    reserved: Arc<Mutex<BTreeSet<InstanceName>>>,
    /// What cut plans are about, until they are taken up.
    recovering: watch::Sender<BTreeSet<InstanceName>>,
}

/// A name that nobody else can take, until this is dropped.
pub(crate) struct Reservation {
    name: InstanceName,
    reserved: Arc<Mutex<BTreeSet<InstanceName>>>,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        locked(&self.reserved).remove(&self.name);
    }
}

/// One instance.
pub(crate) struct Entry {
    record: RwLock<Arc<Record>>,
    live: watch::Sender<Live>,
    claims: Claims,
    /// Why it stays busy with the recovery from a failed plan.
    blocked: Mutex<Option<String>>,
    /// Held by who changes the record, from reading it until it is in the database and in memory.
    rewriting: tokio::sync::Mutex<()>,
    /// What its driver said of it last.
    last_state: Mutex<Option<hull_api::InstanceState>>,
    /// It is stopped because the host shuts down, and is to run again with it.
    pub(super) stops_with_host: std::sync::atomic::AtomicBool,
    /// Two settlers would undo each other's work.
    pub(super) settling: tokio::sync::Mutex<()>,
}

/// What is known of a running instance.
#[derive(Clone, Debug)]
pub(crate) enum Live {
    Stopped,
    Running(Arc<Running>),
    Frozen(Arc<Running>),
}

#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pid: i32,
    pub(crate) process: ProcessFd,
    /// NICs come and go while it runs.
    row: RwLock<RunningRow>,
}

impl Running {
    pub(super) fn new(pid: i32, process: ProcessFd, row: RunningRow) -> Arc<Self> {
        Arc::new(Self { pid, process, row: RwLock::new(row) })
    }

    pub(crate) fn row(&self) -> RunningRow {
        self.row.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// After the database holds `row`.
    pub(super) fn set_row(&self, row: RunningRow) {
        *self.row.write().unwrap_or_else(PoisonError::into_inner) = row;
    }
}

/// What is stored of a running instance, so that a later hulld finds it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunningRow {
    pub(crate) instance: String,
    pub(crate) handle: Handle,
    pub(crate) process: ProcessIdentity,
    pub(crate) nics: BTreeMap<String, Attachment>,
    pub(crate) given: Given,
}

impl Live {
    pub(crate) fn running(&self) -> Option<&Arc<Running>> {
        match self {
            Self::Stopped => None,
            Self::Running(running) | Self::Frozen(running) => Some(running),
        }
    }

    pub(crate) fn status(&self) -> hull_api::StatusCode {
        match self {
            Self::Stopped => hull_api::StatusCode::STOPPED,
            Self::Running(_) => hull_api::StatusCode::RUNNING,
            Self::Frozen(_) => hull_api::StatusCode::FROZEN,
        }
    }
}

impl Entry {
    pub(super) fn note_state(&self, state: hull_api::InstanceState) {
        *locked(&self.last_state) = Some(state);
    }

    pub(super) fn last_state(&self) -> Option<hull_api::InstanceState> {
        locked(&self.last_state).clone()
    }

    pub(crate) fn new(record: Record) -> Arc<Self> {
        Arc::new(Self {
            record: RwLock::new(Arc::new(record)),
            live: watch::Sender::new(Live::Stopped),
            claims: Claims::default(),
            blocked: Mutex::new(None),
            rewriting: tokio::sync::Mutex::new(()),
            last_state: Mutex::new(None),
            stops_with_host: std::sync::atomic::AtomicBool::new(false),
            settling: tokio::sync::Mutex::new(()),
        })
    }

    pub(crate) fn record(&self) -> Arc<Record> {
        self.record.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The right to change the record: nobody else's change falls between reading and writing it.
    pub(super) async fn rewriting(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.rewriting.lock().await
    }

    /// After the database holds `record`.
    pub(super) fn set_record(&self, record: Record) {
        *self.record.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(record);
    }

    pub(crate) fn live(&self) -> Live {
        self.live.borrow().clone()
    }

    pub(super) fn set_live(&self, live: Live) {
        self.live.send_replace(live);
    }

    pub(super) fn set_blocked(&self, why: Option<String>) {
        *locked(&self.blocked) = why;
    }

    pub(super) fn watch_live(&self) -> watch::Receiver<Live> {
        self.live.subscribe()
    }

    /// The running instance.
    pub(crate) fn running(&self) -> Result<Arc<Running>, ApiError> {
        self.live().running().cloned().ok_or_else(|| ApiError::bad_request("Instance is not running"))
    }

    /// Claims the instance for a verb, until the guard is dropped.
    pub(super) fn claim(&self, verb: &'static str) -> Result<Busy, ApiError> {
        self.claims.claim(verb).map_err(|error| match &*locked(&self.blocked) {
            Some(why) => ApiError { message: format!("{error}, which is tried again and again: {why}"), ..error },
            None => error,
        })
    }

    /// The same, also from a verb that only waits for the guest.
    pub(super) fn claim_by_force(&self, verb: &'static str) -> Result<Busy, ApiError> {
        self.claims.claim_by_force(verb)
    }

    /// The same, as soon as no other verb has it.
    ///
    /// # Errors
    /// The instance is deleted.
    pub(super) async fn claim_when_free(&self, verb: &'static str) -> Result<Busy, ApiError> {
        self.claims.claim_when_free(verb).await
    }

    /// The same, for a bounded time.
    pub(super) async fn claim_within(&self, patience: Duration, verb: &'static str) -> Result<Busy, ApiError> {
        match tokio::time::timeout(patience, self.claim_when_free(verb)).await {
            Ok(claimed) => claimed,
            Err(_) => self.claim(verb),
        }
    }

    /// The verb that is at work on it.
    pub(super) fn verb(&self) -> Option<&'static str> {
        self.claims.holder()
    }
}

impl Instances {
    /// All that the database knows; what runs of it is found out by [`super::adopt_all`].
    pub(crate) fn load(database: &Database) -> Result<Self, StateError> {
        let records = store::all(database)?;
        let all = records.into_iter().map(|record| (record.name.clone(), Entry::new(record))).collect();
        Ok(Self { all: RwLock::new(all), reserved: Arc::default(), recovering: watch::Sender::default() })
    }

    pub(crate) fn get(&self, name: &InstanceName) -> Result<Arc<Entry>, ApiError> {
        self.find(name.as_str()).ok_or_else(|| ApiError::not_found("Instance not found"))
    }

    /// By what a URL says; an impossible name is not found rather than invalid.
    pub(crate) fn by_text(&self, name: &str) -> Result<Arc<Entry>, ApiError> {
        self.find(name).ok_or_else(|| ApiError::not_found("Instance not found"))
    }

    /// Every instance, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        self.read().values().cloned().collect()
    }

    /// The stored records, for `used_by` lists.
    pub(crate) fn records(&self) -> Vec<Arc<Record>> {
        self.read().values().map(|entry| entry.record()).collect()
    }

    /// The handles of the running instances of one driver.
    pub(crate) fn handles(&self, driver: &str) -> Vec<StoredHandle> {
        let of_driver = self.all().into_iter().filter(|entry| entry.record().driver == driver);
        let running = of_driver.filter_map(|entry| entry.live().running().cloned());
        running
            .map(|running| running.row())
            .map(|row| StoredHandle { object: row.instance, handle: row.handle })
            .collect()
    }

    /// The handles of the running instances' NICs, as `INSTANCE/DEVICE`.
    pub(crate) fn nic_handles(&self) -> Vec<StoredHandle> {
        let running = self.all().into_iter().filter_map(|entry| entry.live().running().cloned());
        let nics = running.flat_map(|running| {
            let row = running.row();
            let handle = |(device, nic): (&String, &Attachment)| StoredHandle {
                object: format!("{}/{device}", row.instance),
                handle: nic.handle.clone(),
            };
            row.nics.iter().map(handle).collect::<Vec<_>>()
        });
        nics.collect()
    }

    /// Marks names that a cut plan is about; requests that would change them wait ([`Instances::recovered`]).
    pub(super) fn recovering(&self, names: &[InstanceName], are: bool) {
        self.recovering.send_modify(|all| {
            for name in names {
                if are {
                    all.insert(name.clone())
                } else {
                    all.remove(name)
                };
            }
        });
    }

    /// Waits until no cut plan is about the instance any more: milliseconds after a crash of hulld, else not at all.
    pub(super) async fn recovered(&self, name: &str) {
        let mut recovering = self.recovering.subscribe();
        let free = recovering.wait_for(|all| !all.iter().any(|one| one.as_str() == name));
        // Past the bound the request goes on and is told that the instance is busy.
        drop(tokio::time::timeout(RECOVERY, free).await);
    }

    /// Claims a name for an instance to be.
    pub(super) fn reserve(&self, name: &InstanceName) -> Result<Reservation, ApiError> {
        let mut reserved = locked(&self.reserved);
        if self.read().contains_key(name) || !reserved.insert(name.clone()) {
            return Err(ApiError::conflict(format!(
                "Failed creating instance record: Add instance info to the database: \
                 This \"instances\" entry already exists (hint: an instance \"{name}\" exists or is being created)"
            )));
        }
        Ok(Reservation { name: name.clone(), reserved: self.reserved.clone() })
    }

    /// A profile has changed: the instances that use it are brought to what it says now. Errors name the instances.
    pub(crate) async fn profile_changed(&self, hull: &Hull, profile: &str) -> Result<(), ApiError> {
        let concerned =
            self.all().into_iter().filter(|entry| entry.record().profiles.iter().any(|name| name == profile));
        let followed = concerned.map(|entry| async move {
            let name = entry.record().name.clone();
            follow(hull, &entry).await.map_err(|error| format!("{name}: {error}")).err()
        });
        // Side by side: one that hangs keeps itself only.
        let mut failures: Vec<String> =
            stream::iter(followed).buffer_unordered(FOLLOWERS).filter_map(std::future::ready).collect().await;
        failures.sort();
        if failures.is_empty() {
            return Ok(());
        }
        Err(ApiError::internal(format!(
            "The profile is changed, but these instances could not follow: {}",
            failures.join("; ")
        )))
    }

    pub(super) fn insert(&self, record: Record) {
        self.write().insert(record.name.clone(), Entry::new(record));
    }

    pub(super) fn remove(&self, name: &InstanceName) {
        if let Some(removed) = self.write().remove(name) {
            removed.claims.close();
        }
    }

    fn find(&self, name: &str) -> Option<Arc<Entry>> {
        let name = name.parse().ok()?;
        self.read().get::<InstanceName>(&name).cloned()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<InstanceName, Arc<Entry>>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<InstanceName, Arc<Entry>>> {
        self.all.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is at work on the instance is waited for; who is not done by then leaves it as it was given.
async fn follow(hull: &Hull, entry: &Arc<Entry>) -> Result<(), ApiError> {
    let _busy = match entry.claim_within(OTHERS, "update").await {
        Err(error) if error.status == http::StatusCode::NOT_FOUND => return Ok(()), // deleted
        claimed => claimed?,
    };
    configure::follow_profiles(hull, entry).await
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
