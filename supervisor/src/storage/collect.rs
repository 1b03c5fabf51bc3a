//! Comparing what a pool holds with what Hull knows: what is missing is told, what nobody owns is removed.

use std::time::Duration;

use hull_plugin::storage::Reconciled;
use hull_plugin::{OperationId, PoolName, VolumeName};

use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::recovery::Turn;
use crate::warnings::Kind;

/// While a collector works nobody makes or deletes anything in its pool: a driver that is slow has to do without it.
const PATIENCE: Duration = Duration::from_secs(10);

/// After a start of the pool's process. Waits until nobody is at work in the pool; a failure is logged.
pub(crate) async fn collect(hull: &Hull, name: &PoolName) {
    hull.recovery.settled().await;
    let mut turn = hull.recovery.turn(format!("pool/{name}"));
    while let Some(mine) = turn {
        collect_once(hull, name, &mine).await;
        turn = mine.next();
    }
}

async fn collect_once(hull: &Hull, name: &PoolName, turn: &Turn) {
    let Some(_alone) = hull.gates.alone(&Site::Pool(name.clone())).await else {
        return tracing::info!(pool = %name, "not compared with what is known: the pool is never at rest");
    };
    match tokio::time::timeout(PATIENCE, compare(hull, name)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if turn.is_wanted_again() => tracing::info!(pool = %name, %error, "compared once more"),
        Ok(Err(error)) => tracing::warn!(pool = %name, %error, "cannot compare the pool with what is known"),
        Err(_elapsed) => tracing::warn!(pool = %name, "comparing the pool with what is known takes too long"),
    }
}

async fn compare(hull: &Hull, name: &PoolName) -> Result<(), ApiError> {
    let Ok(pool) = hull.storage.pool(name) else { return Ok(()) };
    let handle = hull.storage.handle(hull, &pool).await?;
    let known: Vec<VolumeName> = hull.storage.volumes(name).iter().map(|volume| volume.name.clone()).collect();
    let Reconciled { missing, unknown } = handle.reconcile_all(&known).await?;
    if missing.is_empty() {
        hull.warnings.resolve(Kind::VolumesMissing, &pool.url());
    } else {
        tracing::warn!(pool = %name, ?missing, "the pool does not hold volumes that it should");
        hull.warnings.raise(Kind::VolumesMissing, &pool.url(), missing.join(", "));
    }
    if !unknown.is_empty() {
        tracing::info!(pool = %name, ?unknown, "removing from the pool what nobody owns");
        handle.collect(&OperationId::random(), &unknown).await?;
    }
    Ok(())
}
