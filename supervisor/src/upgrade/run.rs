//! The upgrade's operation, as far as this supervisor gets with it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::program::Program;
use super::{gateway, leave};
use crate::api::{ApiError, Reply};
use crate::hull::Hull;
use crate::operations::{Handle, Lasting, Spec};

/// How the operation's record calls this work.
pub(super) const KIND: &str = "upgrade";

/// What is to be done.
pub(super) struct Order {
    /// The hulld to change to; the gateway is beside it.
    pub(super) executable: PathBuf,
    pub(super) supervisor: bool,
    pub(super) gateway: bool,
    /// How long to wait for operations that a change of the supervisor would cut.
    pub(super) patience: Patience,
}

/// In seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience(u64);

impl From<u64> for Patience {
    fn from(seconds: u64) -> Self {
        Self(seconds)
    }
}

/// What this supervisor tells its successor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Departure {
    kind: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) program: PathBuf,
    pub(super) gateway: bool,
    pub(super) waited_ms: u64,
    /// When calls were held, in milliseconds since 1970.
    pub(super) held_at: i64,
}

pub(super) async fn start(hull: &Hull, order: Order) -> Reply {
    let Ok(alone) = hull.upgrade.running.clone().try_lock_owned() else {
        return Err(ApiError::new(StatusCode::CONFLICT, "Another upgrade is going on"));
    };
    let program = Program::open(&order.executable).await?;
    let missing = hull.plugins.missing_beside(&program.path);
    if order.supervisor && !missing.is_empty() {
        let why = format!("there is no `{}` for it", missing.join("`, `"));
        return Err(ApiError::bad_request(format!("`{}` cannot succeed this hulld: {why}", program.path.display())));
    }
    gateway::check(&program.path)?;
    let spec = Spec::task("Upgrading hulld", "upgrade", "/1.0/upgrade".to_owned());
    let lasting = Lasting { work: json!({"kind": KIND}), parts: Vec::new() };
    let hull_for_task = hull.clone();
    let work = move |operation| async move {
        let _alone = alone;
        run(hull_for_task, order, program, operation).await
    };
    let admitted = hull.operations.admit(&spec)?;
    hull.operations.start_lasting(admitted, spec, Map::new(), Vec::new(), lasting, work).await
}

async fn run(hull: Hull, order: Order, program: Program, operation: Handle) -> Result<(), ApiError> {
    let from = env!("CARGO_PKG_VERSION").to_owned();
    if !order.supervisor {
        operation.update(told(&from, &program.version));
        return gateway::replace(&hull, &program.path, &operation).await;
    }
    let begun = Instant::now();
    let named = hull.keeper.name_next(std::os::fd::AsFd::as_fd(&program)).await;
    named.map_err(|error| ApiError::internal(format!("cannot tell the keeper of the new program: {error}")))?;
    let held_at = leave::hold(&hull, begun + Duration::from_secs(order.patience.0)).await?;
    let departure = Departure {
        kind: KIND.to_owned(),
        from,
        to: program.version.clone(),
        program: program.path.clone(),
        gateway: order.gateway,
        waited_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        held_at: held_at.timestamp_millis(),
    };
    operation.keep(json!(departure)).await;
    let leaving = hull.operations.leave().await;
    tracing::info!(from = departure.from, to = departure.to, program = %departure.program.display(), "leaving for another hulld");
    hull.upgrade.leave(leaving);
    std::future::pending().await // the next supervisor ends the operation
}

/// What the operation says of the versions.
pub(super) fn told(from: &str, to: &str) -> Map<String, serde_json::Value> {
    Map::from_iter([("from".to_owned(), json!(from)), ("to".to_owned(), json!(to))])
}
