//! Giving a network that nothing uses another name: the old one goes, the new one comes with the same configuration.

use hull_plugin::OperationId;
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use super::model::{Network, Status, network_name};
use super::{delete, drivers, ensure, store};
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::plans::{self, AfterCrash, Plan};
use crate::recovery::Noun;
use crate::used_by;

/// Renames a network and returns its new URL.
pub(super) async fn rename(hull: &Hull, name: &str, to: &str) -> Result<String, ApiError> {
    let to = network_name(to)?;
    hull.recovery.through(Noun::Networks).await;
    let _in_hand = hull.networks.in_hand(name).await;
    let old = hull.networks.get(name).map_err(|error| error.context("Failed loading network"))?;
    let _changing = hull.networks.changing(&old.driver).await;
    let host = drivers::host_interfaces(hull).await;
    if hull.networks.find(to.as_str()).is_some() || host.iter().any(|(taken, _)| taken == to.as_str()) {
        return Err(ApiError::conflict(format!("Network interface \"{to}\" already exists")));
    }
    if !used_by::network(hull, name).is_empty() {
        return Err(ApiError::bad_request("Network is currently in use"));
    }
    let new = Network { name: to, handle: None, ..(*old).clone() };
    let url = new.url();
    plans::execute(RenameNetwork { old: (*old).clone(), new }, hull, &OperationId::random()).await?;
    Ok(url)
}

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct RenameNetwork {
    old: Network,
    new: Network,
}

impl Plan for RenameNetwork {
    const KIND: &'static str = "rename-network";
    const STEPS: &'static [&'static str] = &["old", "new"];
    const AFTER_CRASH: AfterCrash = AfterCrash::Undo;

    fn sites(&self) -> Vec<Site> {
        vec![Site::Networks]
    }

    fn objects(&self) -> Vec<String> {
        vec![self.old.url(), self.new.url()]
    }

    async fn run(&mut self, step: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        if step == "old" {
            return delete::remove(hull, &self.old, operation).await;
        }
        self.new = ensure::ensured(hull, &self.new, operation).await?;
        Ok(())
    }

    async fn undo(&mut self, step: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        if step == "new" {
            return match hull.networks.find(self.new.name.as_str()) {
                Some(_) => Ok(()), // a newer one of this name
                None => delete::remove(hull, &self.new, operation).await,
            };
        }
        if hull.networks.find(self.old.name.as_str()).is_none_or(|now| *now != self.old) {
            return Ok(()); // deleted or changed since, and then in the state it is to be in
        }
        match ensure::ensured(hull, &self.old, operation).await {
            Ok(restored) => ensure::save(hull, restored).await,
            Err(error) => {
                let why = error.message.clone();
                hull.networks.set_status(&self.old.name, Status::Unavailable { why });
                Err(error)
            }
        }
    }

    fn commit(&self, tx: &Transaction) -> rusqlite::Result<()> {
        store::delete(tx, &self.old.name)?;
        store::put(tx, &self.new)
    }

    fn published(self, hull: &Hull) {
        let url = self.new.url();
        hull.networks.withdraw(&self.old.name);
        hull.networks.publish(self.new, Status::Created);
        let context = serde_json::json!({"old_name": self.old.name});
        hull.events.lifecycle_with("network-renamed", &url, context);
    }
}
