//! Deleting a network that nothing uses.

use hull_plugin::{Code, OperationId};
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use super::model::Network;
use super::store;
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::plans::{self, AfterCrash, Plan};
use crate::recovery::Noun;
use crate::used_by;

pub(super) async fn delete(hull: &Hull, name: &str) -> Result<(), ApiError> {
    hull.recovery.through(Noun::Networks).await;
    let _in_hand = hull.networks.in_hand(name).await;
    let network = hull.networks.get(name).map_err(|error| error.context("Failed loading network"))?;
    let _changing = hull.networks.changing(&network.driver).await;
    if !used_by::network(hull, name).is_empty() {
        return Err(ApiError::bad_request("The network is currently in use"));
    }
    plans::execute(DeleteNetwork { network: (*network).clone() }, hull, &OperationId::random()).await
}

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct DeleteNetwork {
    network: Network,
}

impl Plan for DeleteNetwork {
    const KIND: &'static str = "delete-network";
    const STEPS: &'static [&'static str] = &["network"];
    const AFTER_CRASH: AfterCrash = AfterCrash::Finish;

    fn sites(&self) -> Vec<Site> {
        vec![Site::Networks]
    }

    fn objects(&self) -> Vec<String> {
        vec![self.network.url()]
    }

    async fn run(&mut self, _: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        remove(hull, &self.network, operation).await
    }

    async fn undo(&mut self, _: &str, _: &Hull, _: &OperationId) -> Result<(), ApiError> {
        Ok(()) // finished after a crash, never undone
    }

    fn commit(&self, tx: &Transaction) -> rusqlite::Result<()> {
        store::delete(tx, &self.network.name)
    }

    fn published(self, hull: &Hull) {
        hull.networks.withdraw(&self.network.name);
        hull.warnings.forget(&self.network.url());
        hull.events.lifecycle("network-deleted", &self.network.url());
    }
}

/// Has the driver remove what it made; what is gone is gone.
pub(super) async fn remove(hull: &Hull, network: &Network, operation: &OperationId) -> Result<(), ApiError> {
    match hull.networks.handle(hull, network)?.delete_network(operation, &network.name, &network.handle).await {
        Err(error) if error.code == Code::NotFound => Ok(()),
        other => Ok(other?),
    }
}
