//! Stop, restart, freeze and unfreeze. Stopping only causes the end; [`super::settle`] is what follows it.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use hull_api::InstanceStatePut;
use hull_plugin::OperationId;
use hull_plugin::instance::StopSignal;

use super::busy::{self, Busy};
use super::registry::{Entry, Live};
use super::{expand, start};
use crate::api::ApiError;
use crate::hull::Hull;
use crate::operations::{Handle, Spec};

/// How long a killed instance may take to be settled.
const SETTLING: Duration = Duration::from_secs(30);
/// How long the end of the daemon waits for another verb on an instance.
const OTHERS: Duration = Duration::from_secs(30);

/// `PUT /1.0/instances/NAME/state`
pub(super) fn change(hull: &Hull, entry: Arc<Entry>, put: InstanceStatePut) -> Result<Response, ApiError> {
    let verb = Verb::of(&put)?;
    let url = entry.record().name.url();
    let busy = verb.claim(&entry)?;
    let mut spec = Spec::task(verb.description(), "instances", url.clone()).also("containers", url);
    if verb.starts() {
        spec = spec.loading(entry.record().pool.as_ref().and_then(|pool| hull.storage.load_of(hull, pool)));
    }
    if verb.waits_for_the_guest() {
        spec = spec.cancellable();
    }
    let hull_for_task = hull.clone();
    hull.operations.start(spec, move |operation| async move {
        // What is wrong already is told by the operation, as LXD does: clients wait for it anyway.
        let result = match verb.check(&entry) {
            Ok(()) => verb.run(&hull_for_task, &entry, &busy, operation.id(), Some(&operation)).await,
            Err(error) => Err(error),
        };
        drop::<Busy>(busy);
        result
    })
}

/// What is asked for, with how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Stop(How),
    Restart(How),
    Freeze,
    Unfreeze,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Force,
    /// The guest shuts itself down; `None`: as long as it takes.
    Clean(Option<Duration>),
}

impl Verb {
    pub(super) fn of(put: &InstanceStatePut) -> Result<Self, ApiError> {
        if put.stateful {
            return Err(ApiError::bad_request("Stateful start and stop are not supported by this instance's driver"));
        }
        let timeout = u64::try_from(put.timeout).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs);
        let how = if put.force { How::Force } else { How::Clean(timeout) };
        match put.action.as_str() {
            "start" => Ok(Self::Start),
            "stop" => Ok(Self::Stop(how)),
            "restart" => Ok(Self::Restart(how)),
            "freeze" => Ok(Self::Freeze),
            "unfreeze" => Ok(Self::Unfreeze),
            other => Err(ApiError::bad_request(format!("Unknown action: '{other}'"))),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop(_) => "stop",
            Self::Restart(_) => "restart",
            Self::Freeze => "freeze",
            Self::Unfreeze => "unfreeze",
        }
    }

    /// Takes the instance from a verb that only waits for it.
    fn is_forced(self) -> bool {
        matches!(self, Self::Stop(How::Force) | Self::Restart(How::Force))
    }

    /// The right to change the instance's state.
    pub(super) fn claim(self, entry: &Entry) -> Result<Busy, ApiError> {
        if self.is_forced() { entry.claim_by_force(self.word()) } else { entry.claim(self.word()) }
    }

    /// May be given up: the guest has the last word anyway.
    fn waits_for_the_guest(self) -> bool {
        matches!(self, Self::Stop(How::Clean(_)) | Self::Restart(How::Clean(_)))
    }

    /// Needs the instance's pool.
    fn starts(self) -> bool {
        matches!(self, Self::Start | Self::Restart(_))
    }

    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Start => "Starting instance",
            Self::Stop(_) => "Stopping instance",
            Self::Restart(_) => "Restarting instance",
            Self::Freeze => "Freezing instance",
            Self::Unfreeze => "Unfreezing instance",
        }
    }

    /// What is wrong already, before anything is tried.
    pub(super) fn check(self, entry: &Entry) -> Result<(), ApiError> {
        let refuse = |text: &str| Err(ApiError::bad_request(text));
        match (self, entry.live()) {
            (Self::Start, Live::Running(_)) => refuse("The instance is already running"),
            (Self::Stop(_), Live::Stopped) => refuse("The instance is already stopped"),
            (Self::Restart(_), Live::Stopped) => refuse("The instance is already stopped"),
            (Self::Freeze, Live::Stopped) => refuse("The container isn't running"),
            (Self::Freeze, Live::Frozen(_)) => refuse("The container is already frozen"),
            (Self::Unfreeze, Live::Stopped) => refuse("The container isn't running"),
            (Self::Unfreeze, Live::Running(_)) => refuse("The container is not frozen"),
            _ => Ok(()),
        }
    }

    pub(super) async fn run(
        self,
        hull: &Hull,
        entry: &Arc<Entry>,
        busy: &Busy,
        operation: &OperationId,
        handle: Option<&Handle>,
    ) -> Result<(), ApiError> {
        let waiter = Waiter { busy, operation, cancelled: handle };
        match (self, entry.live()) {
            (Self::Start, Live::Frozen(_)) => thaw(hull, entry, operation).await,
            (Self::Start, _) => start::start(hull, entry, operation).await,
            (Self::Stop(how), _) => stop(hull, entry, how, &waiter).await,
            (Self::Restart(how), _) => {
                stop(hull, entry, how, &waiter).await?;
                // From here on it is Hull's own work, which is neither overruled nor given up half-way.
                busy.insist()?;
                let not_cancelled = handle.map_or(Ok(()), Handle::past_cancelling);
                not_cancelled.map_err(|error| error.context("The instance was stopped and not started again"))?;
                start::start(hull, entry, operation).await?;
                hull.events.lifecycle("instance-restarted", &entry.record().name.url());
                Ok(())
            }
            (Self::Freeze, _) => freeze(hull, entry, operation).await,
            (Self::Unfreeze, _) => thaw(hull, entry, operation).await,
        }
    }
}

/// Starts an instance on Hull's own account.
pub(super) async fn start_quietly(hull: &Hull, entry: &Arc<Entry>) -> Result<(), ApiError> {
    let _busy = entry.claim("start")?;
    start::start(hull, entry, &OperationId::random()).await
}

/// The host shuts down: every instance is stopped, those with the highest `boot.stop.priority` first; those
/// that ran start again with it.
pub(crate) async fn stop_all(hull: &Hull) {
    let mut groups = std::collections::BTreeMap::<std::cmp::Reverse<i64>, Vec<Arc<Entry>>>::new();
    for entry in hull.instances.all().into_iter().filter(|entry| entry.live().running().is_some()) {
        let (config, _) = expand::expand(hull, &entry.record());
        let priority = config.get("boot.stop.priority").and_then(|text| text.parse().ok()).unwrap_or(0);
        groups.entry(std::cmp::Reverse(priority)).or_default().push(entry);
    }
    for group in groups.into_values() {
        stop_together(hull, group).await;
    }
}

async fn stop_together(hull: &Hull, stopping: Vec<Arc<Entry>>) {
    let stops = stopping.into_iter().map(|entry| async move {
        let (config, _) = expand::expand(hull, &entry.record());
        let patience = config.get("boot.host_shutdown_timeout").and_then(|text| text.parse().ok()).unwrap_or(30);
        let operation = OperationId::random();
        entry.stops_with_host.store(true, std::sync::atomic::Ordering::Relaxed);
        let claimed = match entry.claim_by_force("stop") {
            Ok(busy) => Some(busy),
            Err(_) => tokio::time::timeout(OTHERS, entry.claim_when_free("stop")).await.ok().and_then(Result::ok),
        };
        let clean = match &claimed {
            Some(busy) => {
                let waiter = Waiter { busy, operation: &operation, cancelled: None };
                stop(hull, &entry, How::Clean(Some(Duration::from_secs(patience))), &waiter).await.is_ok()
            }
            None => false,
        };
        if !clean && let Err(error) = kill(hull, &entry, &operation).await {
            tracing::error!(instance = %entry.record().name, %error, "cannot stop the instance");
        }
    });
    futures::future::join_all(stops).await;
}

/// Who waits for a guest to shut itself down, and what ends the waiting early.
struct Waiter<'a> {
    busy: &'a Busy,
    operation: &'a OperationId,
    cancelled: Option<&'a Handle>,
}

async fn stop(hull: &Hull, entry: &Arc<Entry>, how: How, waiter: &Waiter<'_>) -> Result<(), ApiError> {
    match how {
        How::Force => kill(hull, entry, waiter.operation).await,
        How::Clean(timeout) => shut_down(hull, entry, timeout, waiter).await,
    }
}

/// Ends the instance's processes and waits until it is settled.
pub(super) async fn kill(hull: &Hull, entry: &Arc<Entry>, operation: &OperationId) -> Result<(), ApiError> {
    let record = entry.record();
    hull.plugins.instance(&record.driver)?.kill(operation, &record.name.id()).await?;
    let settled = wait_stopped(entry, Some(SETTLING)).await;
    settled.map_err(|_| {
        ApiError::internal("the instance was killed, but what it held is not given back yet; see the daemon's log")
    })
}

async fn shut_down(
    hull: &Hull,
    entry: &Arc<Entry>,
    timeout: Option<Duration>,
    waiter: &Waiter<'_>,
) -> Result<(), ApiError> {
    let record = entry.record();
    if matches!(entry.live(), Live::Frozen(_)) {
        thaw(hull, entry, waiter.operation).await?;
    }
    let overruled = waiter.busy.yields();
    let asked = async {
        hull.plugins.instance(&record.driver)?.signal(waiter.operation, &record.name.id(), StopSignal::Halt).await?;
        hull.events.lifecycle("instance-shutdown", &record.name.url());
        wait_stopped(entry, timeout).await.map_err(|_| {
            let status = entry.live().status();
            ApiError::internal(format!(
                "Failed shutting down instance, status is \"{status}\": context deadline exceeded (hint: `--force` ends it without asking)"
            ))
        })
    };
    tokio::select! {
        biased;
        () = overruled.cancelled() => Err(busy::taken()),
        stopped = asked => stopped,
        () = given_up(waiter.cancelled) => Err(ApiError::bad_request(
            "The operation was cancelled: the instance was asked to shut down and may still do so, but it was not forced",
        )),
    }
}

async fn given_up(operation: Option<&Handle>) {
    match operation {
        Some(operation) => operation.given_up().await,
        None => std::future::pending().await,
    }
}

async fn wait_stopped(entry: &Entry, timeout: Option<Duration>) -> Result<(), tokio::time::error::Elapsed> {
    let mut live = entry.watch_live();
    let stopped = async { drop(live.wait_for(|live| matches!(live, Live::Stopped)).await) };
    match timeout {
        Some(timeout) => tokio::time::timeout(timeout, stopped).await,
        None => {
            stopped.await;
            Ok(())
        }
    }
}

async fn freeze(hull: &Hull, entry: &Arc<Entry>, operation: &OperationId) -> Result<(), ApiError> {
    let (record, running) = (entry.record(), entry.running()?);
    hull.plugins.instance(&record.driver)?.freeze(operation, &record.name.id()).await?;
    entry.set_live(Live::Frozen(running));
    hull.events.lifecycle("instance-paused", &record.name.url());
    Ok(())
}

async fn thaw(hull: &Hull, entry: &Arc<Entry>, operation: &OperationId) -> Result<(), ApiError> {
    let (record, running) = (entry.record(), entry.running()?);
    hull.plugins.instance(&record.driver)?.thaw(operation, &record.name.id()).await?;
    entry.set_live(Live::Running(running));
    hull.events.lifecycle("instance-resumed", &record.name.url());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_become_verbs() {
        let put =
            |action: &str, timeout, force| InstanceStatePut { action: action.into(), timeout, force, stateful: false };
        assert_eq!(Verb::of(&put("stop", 30, false)).unwrap(), Verb::Stop(How::Clean(Some(Duration::from_secs(30)))));
        assert_eq!(Verb::of(&put("stop", -1, false)).unwrap(), Verb::Stop(How::Clean(None)));
        assert_eq!(Verb::of(&put("restart", -1, true)).unwrap(), Verb::Restart(How::Force));
        assert_eq!(Verb::of(&put("foo", 0, false)).unwrap_err().message, "Unknown action: 'foo'");
    }
}
