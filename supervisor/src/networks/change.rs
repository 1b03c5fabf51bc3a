//! Changing a network's configuration: the driver brings it to the new one, and back if that fails.

use http::HeaderMap;
use hull_api::{Config, NetworkPut};
use hull_plugin::OperationId;
use serde::Deserialize;

use super::model::Network;
use super::{drivers, ensure, validate};
use crate::api::{ApiError, check_etag};
use crate::hull::Hull;
use crate::plans;

/// A PATCH: what is named is changed, key by key.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Patch {
    description: Option<String>,
    config: Option<Config>,
}

/// What a request makes of a network.
pub(super) enum Change {
    Put(NetworkPut),
    Patch(Patch),
}

pub(super) async fn change(hull: &Hull, name: &str, headers: &HeaderMap, change: Change) -> Result<(), ApiError> {
    let _in_hand = hull.networks.in_hand(name).await;
    let old = hull.networks.get(name).map_err(|error| error.context("Failed loading network"))?;
    plans::settle_about(hull, &[old.url()]).await?;
    let old = hull.networks.get(name).map_err(|error| error.context("Failed loading network"))?;
    let _changing = hull.networks.changing(&old.driver).await;
    check_etag(headers, &old.writable())?;
    let put = match change {
        Change::Put(put) => put,
        Change::Patch(patch) => patched(&old, patch),
    };
    let config: Config = put.config.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let new = Network { description: put.description, config, ..(*old).clone() };
    if new == *old {
        return Ok(());
    }
    let driver = drivers::managing(hull, &old.driver).await?;
    validate::network(&driver, name, &new.config)?;
    let handle = hull.networks.handle(hull, &new)?;
    handle.validate_network(&new.spec()).await?;
    match ensure::ensured(hull, &new, &OperationId::random()).await {
        Ok(ensured) => ensure::save(hull, ensured).await?,
        Err(error) => return Err(back(hull, &old, error).await),
    }
    hull.events.lifecycle("network-updated", &old.url());
    Ok(())
}

/// Brings the network back to what it was; the error says if that failed too.
async fn back(hull: &Hull, old: &Network, mut error: ApiError) -> ApiError {
    if let Err(second) = ensure::ensured(hull, old, &OperationId::random()).await {
        error.message.push_str(&format!("; and cannot bring it back to its old configuration: {second}"));
    }
    error
}

fn patched(old: &Network, patch: Patch) -> NetworkPut {
    let mut config = old.config.clone();
    config.extend(patch.config.unwrap_or_default());
    NetworkPut { config, description: patch.description.unwrap_or_else(|| old.description.clone()) }
}
