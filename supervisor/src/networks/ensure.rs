//! Bringing networks up: all of them when the daemon starts, one after a change.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use hull_plugin::OperationId;

use super::model::{Network, Status};
use super::store;
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::plans;
use crate::warnings::Kind;

/// Between two attempts at a network that is not available.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Brings every network up, side by side, and goes on until each is: what one lacks (its driver, `dnsmasq`, a free address)
/// may come later. Nobody waits for it: each says for itself how it is.
pub(crate) async fn keep_up(hull: Hull) {
    let mut pause = FIRST_PAUSE;
    loop {
        let down = |network: &Arc<Network>| hull.networks.status(network.name.as_str()) != Status::Created;
        let networks: Vec<_> = hull.networks.all().into_iter().filter(down).collect();
        join_all(networks.iter().map(|network| bring_up(&hull, network))).await;
        // While all is well this costs a look at a list in memory.
        pause = if networks.is_empty() { LONGEST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        tokio::time::sleep(pause).await;
    }
}

async fn bring_up(hull: &Hull, network: &Network) {
    // Whoever deletes or changes it meanwhile waits: brought up behind their backs it would be there again.
    let _in_hand = hull.networks.in_hand(network.name.as_str()).await;
    if let Err(error) = plans::settle_about(hull, &[network.url()]).await {
        return hull.networks.set_status(&network.name, Status::Unavailable { why: error.message });
    }
    if hull.networks.find(network.name.as_str()).as_deref() != Some(network) {
        return; // changed or deleted by now, and then in the state it is to be in
    }
    let _inside = hull.gates.enter([Site::Networks]).await;
    match ensured(hull, network, &OperationId::random()).await {
        Ok(ensured) => {
            if let Err(error) = save(hull, ensured).await {
                tracing::error!(network = %network.name, %error, "cannot store the network's handle");
            }
        }
        Err(error) => {
            let known = Status::Unavailable { why: error.message.clone() };
            if hull.networks.status(network.name.as_str()) != known {
                tracing::warn!(network = %network.name, %error, "the network is not available");
                hull.warnings.raise(Kind::NetworkUnavailable, &network.url(), error.message);
            }
            hull.networks.set_status(&network.name, known);
        }
    }
}

/// The network as its driver has made it.
pub(super) async fn ensured(hull: &Hull, network: &Network, operation: &OperationId) -> Result<Network, ApiError> {
    let ready = hull.networks.handle(hull, network)?.ensure_network(operation, &network.spec()).await?;
    Ok(Network { config: ready.config, handle: Some(ready.handle), ..network.clone() })
}

/// Stores a network that is up, if anything about it is new, and publishes it.
pub(super) async fn save(hull: &Hull, network: Network) -> Result<(), ApiError> {
    if hull.networks.find(network.name.as_str()).as_deref() != Some(&network) {
        let row = network.clone();
        hull.database.write(move |tx| store::put(tx, &row)).await?;
    }
    hull.warnings.resolve(Kind::NetworkUnavailable, &network.url());
    hull.networks.publish(network, Status::Created);
    Ok(())
}
