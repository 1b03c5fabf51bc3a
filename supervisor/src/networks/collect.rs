//! Comparing what a network driver has made with what Hull knows: what is missing is told, what nobody owns is removed.

use std::time::Duration;

use hull_plugin::storage::Reconciled;
use hull_plugin::{DriverError, OperationId};

use crate::gates::Site;
use crate::hull::Hull;
use crate::recovery::Turn;

/// While a collector works nobody connects an instance: a driver that is slow has to do without it.
const PATIENCE: Duration = Duration::from_secs(5);

/// After a start of the driver's process. Waits until nobody is at work on networks; a failure is logged.
pub(crate) async fn collect(hull: &Hull, driver: &str) {
    hull.recovery.settled().await;
    let mut turn = hull.recovery.turn(format!("network/{driver}"));
    while let Some(mine) = turn {
        collect_once(hull, driver, &mine).await;
        turn = mine.next();
    }
}

async fn collect_once(hull: &Hull, driver: &str, turn: &Turn) {
    let Some(_alone) = hull.gates.alone(&Site::Networks).await else {
        return tracing::info!(driver, "networks are not compared with what is known: they are never at rest");
    };
    match tokio::time::timeout(PATIENCE, compare(hull, driver)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if turn.is_wanted_again() => tracing::info!(driver, %error, "compared once more"),
        Ok(Err(error)) => tracing::warn!(driver, %error, "cannot compare the networks with what is known"),
        Err(_elapsed) => tracing::warn!(driver, "comparing the networks with what is known takes too long"),
    }
}

async fn compare(hull: &Hull, driver: &str) -> Result<(), DriverError> {
    let handle = hull.plugins.network(driver)?;
    let networks = hull.networks.all().into_iter().filter(|network| network.driver == driver);
    let nics = hull.instances.nic_handles().into_iter().map(|nic| nic.object);
    let known: Vec<String> = networks.map(|network| network.name.to_string()).chain(nics).collect();
    let Reconciled { missing, unknown } = handle.reconcile_all(&known).await?;
    for object in missing {
        // An instance that has ended this moment has lost its NICs before anybody was told.
        tracing::warn!(driver, object, "a network or NIC that should be there is not");
    }
    if !unknown.is_empty() {
        tracing::info!(driver, ?unknown, "removing networks and NICs that nobody owns");
        handle.collect(&OperationId::random(), &unknown).await?;
    }
    Ok(())
}
