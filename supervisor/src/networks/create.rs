//! Making a network.

use hull_api::NetworksPost;
use hull_plugin::{Code, OperationId};
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use super::model::{Network, Status, network_name};
use super::{drivers, ensure, store, validate};
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::plans::{self, AfterCrash, Plan};
use crate::recovery::Noun;

/// The type of a network that does not say one, as in LXD.
const DEFAULT_TYPE: &str = "bridge";

/// Makes a network and returns its URL.
pub(super) async fn create(hull: &Hull, post: NetworksPost) -> Result<String, ApiError> {
    let name = network_name(&post.name)?;
    let kind = if post.kind.is_empty() { DEFAULT_TYPE.to_owned() } else { post.kind };
    hull.recovery.through(Noun::Networks).await;
    let _in_hand = hull.networks.in_hand(name.as_str()).await;
    let _changing = hull.networks.changing(&kind).await;
    if hull.networks.find(name.as_str()).is_some() {
        return Err(ApiError::conflict("The network already exists"));
    }
    let driver = drivers::managing(hull, &kind).await?;
    let mut config = post.config;
    config.retain(|_, value| !value.is_empty());
    validate::network(&driver, name.as_str(), &config)?;
    let network = Network { name, driver: kind, description: post.description, config, handle: None };
    hull.networks.handle(hull, &network)?.validate_network(&network.spec()).await?;
    let url = network.url();
    plans::execute(CreateNetwork { network }, hull, &OperationId::random()).await?;
    Ok(url)
}

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct CreateNetwork {
    network: Network,
}

impl Plan for CreateNetwork {
    const KIND: &'static str = "create-network";
    const STEPS: &'static [&'static str] = &["network"];
    const AFTER_CRASH: AfterCrash = AfterCrash::Undo;

    fn sites(&self) -> Vec<Site> {
        vec![Site::Networks]
    }

    fn objects(&self) -> Vec<String> {
        vec![self.network.url()]
    }

    async fn run(&mut self, _: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        self.network = ensure::ensured(hull, &self.network, operation).await?;
        Ok(())
    }

    async fn undo(&mut self, _: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        let Network { name, handle, .. } = &self.network;
        if hull.networks.find(name.as_str()).is_some() {
            return Ok(()); // a newer one of this name
        }
        match hull.networks.handle(hull, &self.network)?.delete_network(operation, name, handle).await {
            // An interface of somebody else was refused, and is not ours to remove.
            Err(error) if matches!(error.code, Code::NotFound | Code::AlreadyExists) => Ok(()),
            other => Ok(other?),
        }
    }

    fn commit(&self, tx: &Transaction) -> rusqlite::Result<()> {
        store::put(tx, &self.network)
    }

    fn published(self, hull: &Hull) {
        let url = self.network.url();
        hull.networks.publish(self.network, Status::Created);
        hull.events.lifecycle("network-created", &url);
    }
}
