//! Comparing what a network driver has made with what Hull knows: what is missing is told, what nobody owns is removed.

use std::time::Duration;

use hull_plugin::storage::Reconciled;
use hull_plugin::{Code, DriverError, OperationId};

use crate::gates::Site;
use crate::hull::Hull;
use crate::plugins::NetworkHandle;

/// Names in one call: they must fit a frame of 64 KiB.
const BATCH: usize = 256;
/// While a collector works nobody connects an instance: a driver that is slow has to do without it.
const PATIENCE: Duration = Duration::from_secs(5);

/// After a start of the driver's process. Waits until nobody is at work on networks; a failure is logged.
pub(crate) async fn collect(hull: &Hull, driver: &str) {
    hull.recovery.settled().await;
    let Some(_turn) = hull.recovery.turn(format!("network/{driver}")) else { return };
    let Some(_alone) = hull.gates.alone(&Site::Networks).await else {
        return tracing::info!(driver, "networks are not compared with what is known: they are never at rest");
    };
    match tokio::time::timeout(PATIENCE, compare(hull, driver)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(driver, %error, "cannot compare the networks with what is known"),
        Err(_elapsed) => tracing::warn!(driver, "comparing the networks with what is known takes too long"),
    }
}

async fn compare(hull: &Hull, driver: &str) -> Result<(), DriverError> {
    let handle = hull.plugins.network(driver)?;
    let networks = hull.networks.all().into_iter().filter(|network| network.driver == driver);
    let nics = hull.instances.nic_handles().into_iter().map(|nic| nic.object);
    let known: Vec<String> = networks.map(|network| network.name.to_string()).chain(nics).collect();
    let Reconciled { missing, unknown } = reconcile(&handle, &known).await?;
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

/// A process that ended between two batches has heard only some of what is known: what it says then counts for nothing.
async fn reconcile(handle: &NetworkHandle, known: &[String]) -> Result<Reconciled, DriverError> {
    let before = handle.process.ready().await?.generation;
    let mut rest = known;
    while rest.len() > BATCH {
        let (batch, others) = rest.split_at(BATCH);
        handle.reconcile(batch, false).await?;
        rest = others;
    }
    let found = handle.reconcile(rest, true).await?;
    if handle.process.ready().await?.generation != before {
        return Err(DriverError::new(Code::Crashed, "the driver's process was replaced meanwhile"));
    }
    Ok(found)
}
