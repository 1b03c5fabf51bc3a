//! Bringing networks up: all of them when the daemon starts, one after a change.

use futures::future::join_all;
use hull_plugin::OperationId;

use super::model::{Network, Status};
use super::store;
use crate::api::ApiError;
use crate::hull::Hull;
use crate::warnings::Kind;

/// Brings every network up, side by side. Nobody waits for it: each says for itself how it is.
pub(crate) async fn ensure_all(hull: Hull) {
    let networks = hull.networks.all();
    join_all(networks.iter().map(|network| bring_up(&hull, network))).await;
}

async fn bring_up(hull: &Hull, network: &Network) {
    match ensured(hull, network, &OperationId::random()).await {
        Ok(ensured) => {
            let _changing = hull.networks.changing.lock().await;
            // Changed or deleted meanwhile: then that change has brought it to its state.
            if hull.networks.find(network.name.as_str()).as_deref() != Some(network) {
                return;
            }
            if let Err(error) = save(hull, ensured).await {
                tracing::error!(network = %network.name, %error, "cannot store the network's handle");
            }
        }
        Err(error) => {
            tracing::warn!(network = %network.name, %error, "the network is not available");
            hull.warnings.raise(Kind::NetworkUnavailable, &network.url(), error.message.clone());
            hull.networks.set_status(&network.name, Status::Unavailable { why: error.message });
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
