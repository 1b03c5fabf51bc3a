//! All warnings, in memory and, a moment later, in the database.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::task::TaskTracker;

use super::model::{Kind, Status, Warning};
use super::store;
use crate::api::ApiError;
use crate::events::Bus;
use crate::state::{Database, StateError};

/// How long a warning is kept after it was resolved.
const KEPT: TimeDelta = TimeDelta::days(1);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Warnings(Arc<Inner>);

struct Inner {
    all: Mutex<BTreeMap<String, Warning>>,
    database: Arc<Database>,
    events: Bus,
    tasks: TaskTracker,
}

impl Warnings {
    /// What the database knows, less what was resolved long ago.
    pub(crate) fn load(database: &Arc<Database>, events: Bus) -> Result<Self, StateError> {
        let mut stored = store::all(database)?;
        // No process of an earlier hulld is out of service in this one.
        let over = |one: &&mut Warning| {
            [Kind::PluginOutOfService, Kind::PluginKeepsEnding].iter().any(|kind| kind.words() == one.kind)
        };
        stored.iter_mut().filter(over).for_each(|warning| warning.status = Status::Resolved);
        let all = stored.into_iter().map(|warning| (warning.uuid.clone(), warning)).collect();
        let (database, tasks) = (database.clone(), TaskTracker::new());
        Ok(Self(Arc::new(Inner { all: Mutex::new(all), database, events, tasks })))
    }

    /// Something does not work. Must be called inside a tokio runtime; waits for nothing.
    pub(crate) fn raise(&self, kind: Kind, entity: &str, message: impl Into<String>) {
        let (now, message) = (Utc::now(), message.into());
        let mut all = self.lock();
        let known = all.values_mut().find(|one| one.kind == kind.words() && one.entity == entity);
        let (warning, action) = match known {
            Some(warning) => {
                let action = if warning.status == Status::Resolved { "warning-created" } else { "warning-updated" };
                warning.seen_again(message, now);
                (warning.clone(), action)
            }
            None => {
                let warning = new(kind, entity, message, now);
                all.insert(warning.uuid.clone(), warning.clone());
                (warning, "warning-created")
            }
        };
        let forgotten = forget_old(&mut all, now);
        drop(all);
        tracing::warn!(r#type = kind.words(), entity, message = warning.message, "warning");
        self.0.events.lifecycle(action, &warning.url());
        forgotten.into_iter().chain([warning.uuid]).for_each(|uuid| self.save(uuid));
    }

    /// It works again. Does nothing if there is no such warning.
    pub(crate) fn resolve(&self, kind: Kind, entity: &str) {
        let mut all = self.lock();
        let open =
            |one: &&mut Warning| one.kind == kind.words() && one.entity == entity && one.status != Status::Resolved;
        let Some(warning) = all.values_mut().find(open) else { return };
        warning.status = Status::Resolved;
        warning.last_seen = Utc::now();
        let (url, uuid) = (warning.url(), warning.uuid.clone());
        drop(all);
        self.0.events.lifecycle("warning-resolved", &url);
        self.save(uuid);
    }

    /// What it was about is gone.
    pub(crate) fn forget(&self, entity: &str) {
        let mut all = self.lock();
        let gone: Vec<String> = all.values().filter(|one| one.entity == entity).map(|one| one.uuid.clone()).collect();
        gone.iter().for_each(|uuid| drop(all.remove(uuid)));
        drop(all);
        gone.into_iter().for_each(|uuid| self.save(uuid));
    }

    /// How many want attention.
    pub(crate) fn open(&self) -> usize {
        self.lock().values().filter(|one| one.status != Status::Resolved).count()
    }

    /// The oldest first.
    pub(super) fn all(&self) -> Vec<Warning> {
        let mut all: Vec<Warning> = self.lock().values().cloned().collect();
        all.sort_by_key(|warning| warning.first_seen);
        all
    }

    pub(super) fn show(&self, uuid: &str) -> Result<Warning, ApiError> {
        self.lock().get(uuid).cloned().ok_or_else(missing)
    }

    /// Returns when it is durable.
    pub(super) async fn set_status(&self, uuid: &str, status: Status) -> Result<(), ApiError> {
        let url = {
            let mut all = self.lock();
            let warning = all.get_mut(uuid).ok_or_else(missing)?;
            warning.status = status;
            warning.url()
        };
        write(&self.0, uuid.to_owned()).await?;
        let action = if status == Status::New { "warning-reset" } else { "warning-acknowledged" };
        self.0.events.lifecycle(action, &url);
        Ok(())
    }

    /// Returns when it is durable.
    pub(super) async fn delete(&self, uuid: &str) -> Result<(), ApiError> {
        let warning = self.lock().remove(uuid).ok_or_else(missing)?;
        write(&self.0, uuid.to_owned()).await?;
        self.0.events.lifecycle("warning-deleted", &warning.url());
        Ok(())
    }

    fn save(&self, uuid: String) {
        let inner = self.0.clone();
        self.0.tasks.spawn(async move {
            if let Err(error) = write(&inner, uuid).await {
                tracing::error!(%error, "cannot store a warning");
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Warning>> {
        lock(&self.0)
    }
}

/// Writes what the warning is when the write is made, so that the order of the writes does not matter.
async fn write(inner: &Arc<Inner>, uuid: String) -> Result<(), StateError> {
    let current = inner.clone();
    let work = move |tx: &rusqlite::Transaction| {
        let warning = lock(&current).get(&uuid).cloned();
        match warning {
            Some(warning) => store::put(tx, &warning),
            None => store::delete(tx, &uuid),
        }
    };
    inner.database.write(work).await
}

fn lock(inner: &Inner) -> MutexGuard<'_, BTreeMap<String, Warning>> {
    inner.all.lock().unwrap_or_else(PoisonError::into_inner)
}

fn new(kind: Kind, entity: &str, message: String, now: DateTime<Utc>) -> Warning {
    Warning {
        uuid: uuid::Uuid::new_v4().to_string(),
        kind: kind.words().to_owned(),
        entity: entity.to_owned(),
        message,
        status: Status::New,
        severity: kind.severity().to_owned(),
        count: 1,
        first_seen: now,
        last_seen: now,
    }
}

fn forget_old(all: &mut BTreeMap<String, Warning>, now: DateTime<Utc>) -> Vec<String> {
    let old = |one: &&Warning| one.status == Status::Resolved && now - one.last_seen > KEPT;
    let uuids: Vec<String> = all.values().filter(old).map(|one| one.uuid.clone()).collect();
    uuids.iter().for_each(|uuid| drop(all.remove(uuid)));
    uuids
}

fn missing() -> ApiError {
    ApiError::not_found("Warning not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(warnings: &Warnings) {
        warnings.0.tasks.close();
        warnings.0.tasks.wait().await;
        warnings.0.tasks.reopen();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_warning_counts_is_resolved_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hull.db");
        let open = || Arc::new(tokio::task::block_in_place(|| Database::open(&path).unwrap()));
        let load = |database| tokio::task::block_in_place(|| Warnings::load(&database, Bus::new()).unwrap());
        let warnings = load(open());
        let pool = "/1.0/storage-pools/default";
        warnings.raise(Kind::PoolUnavailable, pool, "gone");
        warnings.raise(Kind::PoolUnavailable, pool, "still gone");
        warnings.raise(Kind::NetworkUnavailable, pool, "another type is another warning");
        assert_eq!((warnings.all().len(), warnings.open()), (2, 2));
        let uuid = warnings.all()[0].uuid.clone();
        warnings.set_status(&uuid, Status::Acknowledged).await.unwrap();
        warnings.raise(Kind::PoolUnavailable, pool, "and again");
        assert_eq!(warnings.show(&uuid).unwrap().status, Status::Acknowledged, "seen is seen");
        warnings.resolve(Kind::PoolUnavailable, pool);
        assert_eq!(warnings.show(&uuid).unwrap().status, Status::Resolved);
        warnings.raise(Kind::PoolUnavailable, pool, "back");
        let warning = warnings.show(&uuid).unwrap();
        assert_eq!((warning.status, warning.count, warning.message.as_str()), (Status::New, 4, "back"));

        written(&warnings).await;
        drop(warnings);
        let again = load(open());
        let stored = again.show(&uuid).unwrap();
        assert_eq!((stored.count, stored.status, stored.severity.as_str()), (4, Status::New, "high"));
        again.delete(&uuid).await.unwrap();
        assert!(again.delete(&uuid).await.is_err());
        again.forget(pool);
        written(&again).await;
        assert!(load(open()).all().is_empty());
    }

    #[test]
    fn what_was_resolved_is_forgotten_after_a_day() {
        let now = Utc::now();
        let mut old = new(Kind::AutostartFailed, "/1.0/instances/c1", "no".into(), now - TimeDelta::days(3));
        let open = Warning { uuid: "open".into(), ..old.clone() };
        old.status = Status::Resolved;
        let mut all = BTreeMap::from([(old.uuid.clone(), old.clone()), ("open".to_owned(), open)]);
        assert_eq!(forget_old(&mut all, now), [old.uuid]);
        assert!(all.contains_key("open"));
    }
}
