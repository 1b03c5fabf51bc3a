//! All operations, and the life of one.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::StatusCode;
use hull_gateway_contract::Upgrade;
use hull_plugin::OperationId;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::{Admission, Load};
use crate::api::{ApiError, Reply};
use crate::events::Bus;

/// How long an ended operation can still be asked for.
const REMEMBERED: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Task,
    Websocket,
}

/// What an operation is about.
pub(crate) struct Spec {
    pub(crate) class: Class,
    /// LXD's sentence: `Creating instance`.
    pub(crate) description: &'static str,
    /// `instances` → [`/1.0/instances/c1`].
    pub(crate) resources: BTreeMap<String, Vec<String>>,
    /// At the beginning; work that can no longer be given up says so itself.
    pub(crate) may_cancel: bool,
    /// Whose work it is: bounded, so that one slow pool does not collect work without end.
    pub(crate) load: Option<Load>,
}

impl Spec {
    /// A task on one object.
    pub(crate) fn task(description: &'static str, noun: &str, url: String) -> Self {
        let resources = BTreeMap::from([(noun.to_owned(), vec![url])]);
        Self { class: Class::Task, description, resources, may_cancel: false, load: None }
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

/// The websockets that a client may connect to an operation: secret → what it becomes, each taken once.
#[derive(Default)]
pub(crate) struct Websockets {
    ends: Mutex<HashMap<String, Upgrade>>,
}

impl Websockets {
    pub(crate) fn new(ends: impl IntoIterator<Item = (String, Upgrade)>) -> Arc<Self> {
        Arc::new(Self { ends: Mutex::new(ends.into_iter().collect()) })
    }

    /// The end that belongs to `secret`; only once.
    pub(crate) fn take(&self, secret: &str) -> Option<Upgrade> {
        locked(&self.ends).remove(secret)
    }
}

struct Operation {
    id: OperationId,
    spec: Spec,
    created_at: DateTime<Utc>,
    now: watch::Sender<Now>,
    cancel: CancellationToken,
    websockets: Option<Arc<Websockets>>,
}

#[derive(Clone)]
struct Now {
    status: Status,
    updated_at: DateTime<Utc>,
    metadata: Option<Map<String, Value>>,
    error: String,
    may_cancel: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    events: Bus,
}

impl Handle {
    pub(crate) fn id(&self) -> &OperationId {
        &self.operation.id
    }

    pub(crate) fn cancelled(&self) -> &CancellationToken {
        &self.operation.cancel
    }

    /// Resolves when the client has cancelled the operation; what is cut off then is the caller's to say.
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

    fn end(&self, result: Result<(), ApiError>) {
        self.operation.now.send_modify(|now| {
            now.updated_at = Utc::now();
            now.may_cancel = false;
            match result {
                Ok(()) => now.status = Status::Success,
                Err(error) => {
                    let cancelled = self.operation.cancel.is_cancelled();
                    now.status = if cancelled { Status::Cancelled } else { Status::Failure };
                    now.error = error.message; // what is left is in it, also of what was cancelled
                }
            }
        });
        self.announce();
    }

    fn announce(&self) {
        self.events.operation(&rendered(&self.operation));
    }
}

/// All operations that run or ended a moment ago.
#[derive(Clone)]
pub(crate) struct Registry {
    all: Arc<Mutex<BTreeMap<OperationId, Arc<Operation>>>>,
    events: Bus,
    tasks: TaskTracker,
    admission: Admission,
}

impl Registry {
    pub(crate) fn new(events: Bus) -> Self {
        Self { all: Arc::default(), events, tasks: TaskTracker::new(), admission: Admission::default() }
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
        let created_at = Utc::now();
        let metadata = (!metadata.is_empty()).then_some(metadata);
        let (status, error, may_cancel) = (Status::Running, String::new(), spec.may_cancel);
        let now = Now { status, updated_at: created_at, metadata, error, may_cancel };
        let operation = Arc::new(Operation {
            id: OperationId::random(),
            spec,
            created_at,
            now: watch::Sender::new(now),
            cancel: CancellationToken::new(),
            websockets,
        });
        locked(&self.all).insert(operation.id.clone(), operation.clone());
        let handle = Handle { operation: operation.clone(), events: self.events.clone() };
        handle.announce();
        let response = accepted(&operation);
        let (registry, task) = (self.clone(), work(handle.clone()));
        self.tasks.spawn(async move {
            // In a task of its own, so that a panic ends this operation and is told to its client.
            let result = tokio::spawn(task).await;
            drop(admitted);
            handle.end(
                result.unwrap_or_else(|error| Err(ApiError::internal(format!("the operation's task failed: {error}")))),
            );
            tokio::time::sleep(REMEMBERED).await;
            locked(&registry.all).remove(handle.id());
        });
        Ok(response)
    }

    /// What the work of a running operation holds of it, for work that is done on its behalf.
    pub(crate) fn handle(&self, id: &OperationId) -> Option<Handle> {
        let operation = locked(&self.all).get(id).cloned()?;
        Some(Handle { operation, events: self.events.clone() })
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

    pub(super) fn websocket(&self, id: &str, secret: &str) -> Result<Upgrade, ApiError> {
        if secret.is_empty() {
            return Err(ApiError::bad_request("missing secret"));
        }
        let operation = self.find(id)?;
        let websockets = operation.websockets.as_ref();
        let websockets =
            websockets.ok_or_else(|| ApiError::bad_request("Only websocket operations can be connected to"))?;
        websockets.take(secret).ok_or_else(|| ApiError::new(StatusCode::FORBIDDEN, "Invalid websocket secret"))
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
        description: operation.spec.description.to_owned(),
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
