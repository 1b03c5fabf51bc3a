//! All operations, and the life of one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::StatusCode;
use hull_gateway_contract::Upgrade;
use hull_plugin::OperationId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::{Admission, Admitted, Load};
use super::lasting::{self, Kept, Lasting, Record};
use super::websockets::Websockets;
use crate::api::{ApiError, Reply};
use crate::events::Bus;
use crate::keeper::KeeperClient;

/// How long an ended operation can still be asked for.
/// How long a client has to connect the websockets of its operation.
const CONNECTING: Duration = Duration::from_secs(30);
const REMEMBERED: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Class {
    Task,
    Websocket,
}

/// What an operation is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) class: Class,
    /// LXD's sentence: `Creating instance`.
    pub(crate) description: Cow<'static, str>,
    /// `instances` → [`/1.0/instances/c1`].
    pub(crate) resources: BTreeMap<String, Vec<String>>,
    /// At the beginning; work that can no longer be given up says so itself.
    pub(crate) may_cancel: bool,
    /// Whose work it is: bounded, so that one slow pool does not collect work without end.
    #[serde(skip)]
    pub(crate) load: Option<Load>,
}

impl Spec {
    /// A task on one object.
    pub(crate) fn task(description: &'static str, noun: &str, url: String) -> Self {
        let resources = BTreeMap::from([(noun.to_owned(), vec![url])]);
        Self { class: Class::Task, description: description.into(), resources, may_cancel: false, load: None }
    }

    /// The same object by another name: of an instance, LXD tells both its old URL and its new one.
    #[must_use]
    pub(crate) fn also(mut self, noun: &str, url: String) -> Self {
        let url = url.replacen("/1.0/instances/", &format!("/1.0/{noun}/"), 1);
        self.resources.entry(noun.to_owned()).or_default().push(url);
        self
    }

    /// Counts among the work of `load`, and is refused when that has too much.
    #[must_use]
    pub(crate) fn loading(mut self, load: Option<Load>) -> Self {
        self.load = load;
        self
    }

    #[must_use]
    pub(crate) fn cancellable(mut self) -> Self {
        self.may_cancel = true;
        self
    }
}

struct Operation {
    id: OperationId,
    spec: Spec,
    created_at: DateTime<Utc>,
    now: watch::Sender<Now>,
    cancel: CancellationToken,
    websockets: Option<Arc<Websockets>>,
    /// Its client never came.
    abandoned: AtomicBool,
    fate: Fate,
    /// Held from the moment its result is taken from where a next supervisor would find it.
    finishing: Mutex<Option<OwnedRwLockReadGuard<()>>>,
}

/// What becomes of an operation when the supervisor ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Its work ends, too.
    Cut,
    /// The next supervisor goes on with it.
    GoesOn,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Now {
    status: Status,
    updated_at: DateTime<Utc>,
    metadata: Option<Map<String, Value>>,
    error: String,
    may_cancel: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Status {
    Running,
    Success,
    Failure,
    Cancelled,
}

impl Status {
    fn is_final(self) -> bool {
        self != Self::Running
    }

    fn word_and_code(self) -> (&'static str, u16) {
        match self {
            Self::Running => ("Running", 103),
            Self::Success => ("Success", 200),
            Self::Failure => ("Failure", 400),
            Self::Cancelled => ("Cancelled", 401),
        }
    }
}

/// What the work of an operation holds of it.
#[derive(Clone)]
pub(crate) struct Handle {
    operation: Arc<Operation>,
    registry: Registry,
}

impl Handle {
    pub(crate) fn id(&self) -> &OperationId {
        &self.operation.id
    }

    pub(crate) fn cancelled(&self) -> &CancellationToken {
        &self.operation.cancel
    }

    /// Resolves when the client has cancelled the operation, or never came; what is cut off then is the caller's to say.
    pub(crate) async fn given_up(&self) {
        self.operation.cancel.cancelled().await;
    }

    /// From here on the work is finished: later attempts to cancel are refused.
    ///
    /// # Errors
    /// It was cancelled already.
    pub(crate) fn past_cancelling(&self) -> Result<(), ApiError> {
        let cancelled = self.operation.now.send_if_modified(|now| {
            now.may_cancel = false;
            !self.operation.cancel.is_cancelled()
        });
        if cancelled { Ok(()) } else { Err(ApiError::bad_request("The operation was cancelled")) }
    }

    /// Merges `metadata` into the operation's, and tells listeners.
    pub(crate) fn update(&self, metadata: Map<String, Value>) {
        self.operation.now.send_modify(|now| {
            now.updated_at = Utc::now();
            now.metadata.get_or_insert_default().extend(metadata);
        });
        self.announce();
    }

    /// Called by the work of a lasting operation before it takes its result from where a next supervisor would find it.
    /// Does not return while this supervisor leaves: then it is the next one's to take.
    pub(crate) async fn finishing(&self) {
        let guard = self.registry.leaving.clone().read_owned().await;
        *locked(&self.operation.finishing) = Some(guard);
    }

    /// A next supervisor needs this part of a lasting operation no more.
    pub(crate) async fn release(&self, part: &str) {
        lasting::release(&self.registry.keeper, self.id(), part).await;
    }

    /// Changes what a next supervisor finds of the work of a lasting operation.
    pub(crate) async fn keep(&self, work: Value) {
        let now = self.operation.now.borrow().clone();
        let mut record = self.operation.record(now);
        record.work = Some(work);
        lasting::store(&self.registry.keeper, self.id(), &record, &[]).await;
    }

    async fn end(&self, result: Result<(), ApiError>) {
        let mut now = self.operation.now.borrow().clone();
        (now.updated_at, now.may_cancel) = (Utc::now(), false);
        match result {
            _ if self.operation.abandoned.load(Ordering::Relaxed) => {
                now.status = Status::Failure;
                now.error = "Timed out waiting for websockets to connect".to_owned();
            }
            Ok(()) => now.status = Status::Success,
            Err(error) => {
                let cancelled = self.operation.cancel.is_cancelled();
                now.status = if cancelled { Status::Cancelled } else { Status::Failure };
                now.error = error.message; // what is left is in it, also of what was cancelled
            }
        }
        if self.operation.fate == Fate::GoesOn {
            lasting::store(&self.registry.keeper, self.id(), &self.operation.record(now.clone()), &[]).await;
        }
        self.operation.now.send_replace(now);
        locked(&self.operation.finishing).take();
        self.announce();
    }

    fn announce(&self) {
        self.registry.events.operation(&rendered(&self.operation));
    }
}

impl Operation {
    fn new(spec: Spec, metadata: Map<String, Value>, websockets: Option<Arc<Websockets>>) -> Self {
        let created_at = Utc::now();
        let metadata = (!metadata.is_empty()).then_some(metadata);
        let (status, error, may_cancel) = (Status::Running, String::new(), spec.may_cancel);
        let now = Now { status, updated_at: created_at, metadata, error, may_cancel };
        Self {
            id: OperationId::random(),
            spec,
            created_at,
            now: watch::Sender::new(now),
            cancel: CancellationToken::new(),
            websockets,
            abandoned: AtomicBool::new(false),
            fate: Fate::Cut,
            finishing: Mutex::default(),
        }
    }

    /// Gives it up if the client does not connect its websockets.
    async fn expect_client(&self, websockets: &Websockets) {
        let mut now = self.now.subscribe();
        let ended = now.wait_for(|now| now.status.is_final());
        if tokio::time::timeout(CONNECTING, ended).await.is_err() && websockets.are_missing() {
            self.abandoned.store(true, Ordering::Relaxed);
            self.cancel.cancel();
        }
    }

    fn is_running(&self) -> bool {
        !self.now.borrow().status.is_final()
    }

    /// As it is `now`, for a next supervisor; without anything to go on with.
    fn record(&self, now: Now) -> Record {
        Record { spec: self.spec.clone(), created_at: self.created_at, now, work: None, ends: Vec::new() }
    }
}

/// All operations that run or ended a moment ago.
#[derive(Clone)]
pub(crate) struct Registry {
    all: Arc<Mutex<BTreeMap<OperationId, Arc<Operation>>>>,
    events: Bus,
    keeper: KeeperClient,
    tasks: TaskTracker,
    admission: Admission,
    /// Written to while this supervisor leaves.
    leaving: Arc<RwLock<()>>,
}

/// While this lives, no lasting operation ends.
pub(crate) struct Leaving {
    _all_stand_still: OwnedRwLockWriteGuard<()>,
}

impl Registry {
    pub(crate) fn new(events: Bus, keeper: KeeperClient) -> Self {
        let (all, tasks, admission, leaving) = Default::default();
        Self { all, events, keeper, tasks, admission, leaving }
    }

    /// Starts `work` and answers `202 Accepted` with the operation.
    pub(crate) fn start<F, W>(&self, spec: Spec, work: W) -> Reply
    where
        F: Future<Output = Result<(), ApiError>> + Send + 'static,
        W: FnOnce(Handle) -> F,
    {
        self.start_with(spec, Map::new(), None, work)
    }

    /// The same with metadata from the beginning and websockets for a client to connect.
    pub(crate) fn start_with<F, W>(
        &self,
        spec: Spec,
        metadata: Map<String, Value>,
        websockets: Option<Arc<Websockets>>,
        work: W,
    ) -> Reply
    where
        F: Future<Output = Result<(), ApiError>> + Send + 'static,
        W: FnOnce(Handle) -> F,
    {
        let admitted = self.admission.admit(spec.load.as_ref())?;
        Ok(accepted(&self.run(Operation::new(spec, metadata, websockets), Some(admitted), work)))
    }

    /// The right to one operation more: who begins its work before there is an operation asks first.
    ///
    /// # Errors
    /// There are too many; the client may try again.
    pub(crate) fn admit(&self, spec: &Spec) -> Result<Admitted, ApiError> {
        self.admission.admit(spec.load.as_ref())
    }

    /// The same for work that has begun, and that a next supervisor can go on with.
    pub(crate) async fn start_lasting<F, W>(
        &self,
        admitted: Admitted,
        spec: Spec,
        metadata: Map<String, Value>,
        ends: Vec<(String, Upgrade)>,
        lasting: Lasting,
        work: W,
    ) -> Reply
    where
        F: Future<Output = Result<(), ApiError>> + Send + 'static,
        W: FnOnce(Handle) -> F,
    {
        let mut operation = Operation::new(spec, metadata, None);
        operation.fate = Fate::GoesOn;
        let mut record = operation.record(operation.now.borrow().clone());
        let mut parts = lasting.parts;
        record.work = Some(lasting.work);
        record.ends = ends.iter().map(|(secret, end)| lasting::end_record(secret, end)).collect();
        for (secret, end) in &ends {
            parts.push((secret.clone(), lasting::descriptors(end)?));
        }
        lasting::store(&self.keeper, &operation.id, &record, &parts).await;
        operation.websockets = Some(Websockets::lasting(ends, self.keeper.clone(), operation.id.clone()));
        Ok(accepted(&self.run(operation, Some(admitted), work)))
    }

    /// Goes on with what an earlier supervisor has left.
    pub(crate) fn go_on<F, W>(&self, kept: Kept, work: W)
    where
        F: Future<Output = Result<(), ApiError>> + Send + 'static,
        W: FnOnce(Handle) -> F,
    {
        let Kept { id, record, ends, .. } = kept;
        let websockets = Websockets::lasting(ends, self.keeper.clone(), id.clone());
        let operation = Operation {
            id,
            spec: record.spec,
            created_at: record.created_at,
            now: watch::Sender::new(record.now),
            cancel: CancellationToken::new(),
            websockets: Some(websockets),
            abandoned: AtomicBool::new(false),
            fate: Fate::GoesOn,
            finishing: Mutex::default(),
        };
        // It was admitted once; only counted now.
        let admitted = self.admission.admit(None).ok();
        self.run(operation, admitted, work);
    }

    /// What earlier supervisors have left to go on with. What had ended can be asked for from now on.
    pub(crate) async fn take_over(&self) -> Vec<Kept> {
        let (ended, running): (Vec<_>, Vec<_>) =
            lasting::load(&self.keeper).await.into_iter().partition(|kept| kept.record.now.status.is_final());
        for kept in ended {
            let (id, record) = (kept.id, kept.record);
            let mut operation = Operation::new(record.spec, Map::new(), None);
            (operation.id, operation.created_at, operation.fate) = (id, record.created_at, Fate::GoesOn);
            operation.now.send_replace(record.now);
            let operation = Arc::new(operation);
            locked(&self.all).insert(operation.id.clone(), operation.clone());
            let registry = self.clone();
            self.tasks.spawn(async move { registry.forget(&operation).await });
        }
        running
    }

    /// Those that a leave of this supervisor would cut: what they do, to what.
    pub(crate) fn busy(&self) -> Vec<String> {
        let all = locked(&self.all);
        // A console's session ends with its driver's process; who has one open must not keep hulld from being replaced.
        let cut = all.values().filter(|operation| {
            operation.is_running() && operation.fate == Fate::Cut && operation.spec.class == Class::Task
        });
        cut.map(|operation| {
            let about: Vec<_> = operation.spec.resources.values().flatten().map(String::as_str).collect();
            format!("{} {} (operation {})", operation.spec.description, about.join(", "), operation.id)
        })
        .collect()
    }

    /// Hands everything over to the next supervisor: from now on no lasting operation ends here.
    pub(crate) async fn leave(&self) -> Leaving {
        let all_stand_still = self.leaving.clone().write_owned().await;
        let all: Vec<_> = locked(&self.all).values().cloned().collect();
        // Lasting ones are stored already, as they are now.
        let ended = all.iter().filter(|operation| !operation.is_running() && operation.fate == Fate::Cut);
        let stored = ended.map(|operation| async {
            let record = operation.record(operation.now.borrow().clone());
            lasting::store(&self.keeper, &operation.id, &record, &[]).await;
        });
        futures::future::join_all(stored).await;
        Leaving { _all_stand_still: all_stand_still }
    }

    fn run<F, W>(&self, operation: Operation, admitted: Option<Admitted>, work: W) -> Arc<Operation>
    where
        F: Future<Output = Result<(), ApiError>> + Send + 'static,
        W: FnOnce(Handle) -> F,
    {
        let operation = Arc::new(operation);
        locked(&self.all).insert(operation.id.clone(), operation.clone());
        let handle = Handle { operation: operation.clone(), registry: self.clone() };
        handle.announce();
        let task = work(handle.clone());
        if let Some(websockets) = operation.websockets.clone() {
            let operation = operation.clone();
            self.tasks.spawn(async move { operation.expect_client(&websockets).await });
        }
        self.tasks.spawn(async move {
            // In a task of its own, so that a panic ends this operation and is told to its client.
            let result = tokio::spawn(task).await;
            drop(admitted);
            let failed = |error| Err(ApiError::internal(format!("the operation's task failed: {error}")));
            handle.end(result.unwrap_or_else(failed)).await;
            handle.registry.forget(&handle.operation).await;
        });
        operation
    }

    /// Some time after its end.
    async fn forget(&self, operation: &Operation) {
        tokio::time::sleep(REMEMBERED).await;
        locked(&self.all).remove(&operation.id);
        if operation.fate == Fate::GoesOn {
            lasting::release(&self.keeper, &operation.id, "").await;
            if let Some(websockets) = &operation.websockets {
                websockets.release().await;
            }
        }
    }

    /// What the work of a running operation holds of it, for work that is done on its behalf.
    pub(crate) fn handle(&self, id: &OperationId) -> Option<Handle> {
        let operation = locked(&self.all).get(id).cloned()?;
        Some(Handle { operation, registry: self.clone() })
    }

    /// How many have not ended.
    pub(crate) fn running(&self) -> usize {
        self.admission.admitted()
    }

    /// Every operation, rendered, by status.
    pub(super) fn list(&self) -> Vec<hull_api::Operation> {
        locked(&self.all).values().map(|operation| rendered(operation)).collect()
    }

    pub(super) fn show(&self, id: &str) -> Result<hull_api::Operation, ApiError> {
        self.find(id).map(|operation| rendered(&operation))
    }

    /// Waits for the end, or as long as `timeout` says.
    pub(super) async fn wait(&self, id: &str, timeout: Option<Duration>) -> Result<hull_api::Operation, ApiError> {
        let operation = self.find(id)?;
        let mut now = operation.now.subscribe();
        let ended = now.wait_for(|now| now.status.is_final());
        match timeout {
            // Both the end and running out of time answer with the operation as it is then.
            Some(timeout) => drop(tokio::time::timeout(timeout, ended).await),
            None => drop(ended.await),
        }
        Ok(rendered(&operation))
    }

    pub(super) fn cancel(&self, id: &str) -> Result<(), ApiError> {
        let operation = self.find(id)?;
        // Decided while nothing about the operation changes: either it is cancelled, or its work goes to the end.
        let cancelled = operation.now.send_if_modified(|now| {
            if now.may_cancel {
                operation.cancel.cancel();
            }
            now.may_cancel
        });
        if cancelled { Ok(()) } else { Err(ApiError::bad_request("This operation can't be cancelled")) }
    }

    pub(super) async fn websocket(&self, id: &str, secret: &str) -> Result<Upgrade, ApiError> {
        if secret.is_empty() {
            return Err(ApiError::bad_request("missing secret"));
        }
        let operation = self.find(id)?;
        let websockets = operation.websockets.as_ref();
        let websockets =
            websockets.ok_or_else(|| ApiError::bad_request("Only websocket operations can be connected to"))?;
        websockets.take(secret).await.ok_or_else(|| ApiError::new(StatusCode::FORBIDDEN, "Invalid websocket secret"))
    }

    fn find(&self, id: &str) -> Result<Arc<Operation>, ApiError> {
        let found =
            locked(&self.all).iter().find(|(known, _)| known.as_str() == id).map(|(_, operation)| operation.clone());
        found.ok_or_else(|| ApiError::not_found("Operation not found"))
    }
}

fn accepted(operation: &Operation) -> Response {
    let url = format!("/1.0/operations/{}", operation.id);
    let body = serde_json::json!({
        "type": "async", "status": "Operation created", "status_code": 100, "operation": url,
        "error_code": 0, "error": "", "metadata": rendered(operation),
    });
    (StatusCode::ACCEPTED, [(http::header::LOCATION, url)], axum::Json(body)).into_response()
}

fn rendered(operation: &Operation) -> hull_api::Operation {
    let now = operation.now.borrow().clone();
    let (status, status_code) = now.status.word_and_code();
    hull_api::Operation {
        id: operation.id.to_string(),
        class: match operation.spec.class {
            Class::Task => "task",
            Class::Websocket => "websocket",
        }
        .to_owned(),
        description: operation.spec.description.to_string(),
        created_at: operation.created_at.into(),
        updated_at: now.updated_at.into(),
        status: status.to_owned(),
        status_code: hull_api::StatusCode(status_code),
        resources: operation.spec.resources.clone(),
        metadata: now.metadata.map_or(Value::Null, Value::Object),
        may_cancel: now.may_cancel,
        err: now.error,
        location: "none".to_owned(),
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
