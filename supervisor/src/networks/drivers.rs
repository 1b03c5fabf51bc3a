//! Which driver serves what: a managed network by its type, a NIC by its network or its `nictype`.

use std::sync::Arc;
use std::time::Duration;

use hull_plugin::{ConfigMap, Description, DriverError, PluginKind};

use super::model::Network;
use super::registry::Networks;
use crate::api::ApiError;
use crate::hull::Hull;
use crate::plugins::NetworkHandle;

/// How long an answer waits for the host's interfaces.
const LOOK: Duration = Duration::from_secs(1);

impl Networks {
    /// The driver of a managed network.
    pub(crate) fn handle(&self, hull: &Hull, network: &Network) -> Result<NetworkHandle, ApiError> {
        let handle = hull.plugins.network(&network.driver).map_err(ApiError::from);
        handle.map_err(|error| error.context(format_args!("network \"{}\" is not available", network.name)))
    }

    /// The driver that connects a NIC, from the device's keys.
    ///
    /// # Errors
    /// The network does not exist, or no driver has the capability `nic:NICTYPE`.
    pub(crate) async fn handle_for_nic(&self, hull: &Hull, nic: &ConfigMap) -> Result<NetworkHandle, ApiError> {
        if let Some(name) = nic.get("network").filter(|name| !name.is_empty()) {
            let network = self.find(name);
            let network = network
                .ok_or_else(|| ApiError::not_found(format!("Failed loading network \"{name}\": Network not found")))?;
            return self.handle(hull, &network);
        }
        let kind = nic.get("nictype").map_or("", String::as_str);
        let serving = that_can(hull, &format!("nic:{kind}")).await;
        let serving = serving
            .ok_or_else(|| ApiError::bad_request(format!("No network driver serves NICs of type \"{kind}\"")))?;
        Ok(hull.plugins.network(&serving.driver)?)
    }
}

/// A driver that makes networks of this type.
pub(super) async fn managing(hull: &Hull, kind: &str) -> Result<Arc<Description>, ApiError> {
    let known = hull.plugins.descriptions(PluginKind::Network).await;
    let found = known.into_iter().find(|one| one.driver == kind && one.can("managed"));
    found.ok_or_else(|| ApiError::bad_request("Unknown driver"))
}

/// The interfaces of the host with their types. A driver that is silent costs what it would tell, not the answer: then they
/// are as they were seen last.
pub(super) async fn host_interfaces(hull: &Hull) -> Vec<(String, String)> {
    for driver in hull.plugins.drivers(PluginKind::Network) {
        let Ok(handle) = hull.plugins.network(&driver) else { continue };
        let seen = hull.clone();
        // A task of its own: the driver's silence has to be noticed, though the answer does not wait for it.
        let look = hull.tasks.spawn(async move {
            let interfaces = handle.host_interfaces().await?;
            seen.networks.saw(&interfaces);
            Ok::<_, DriverError>(interfaces)
        });
        match tokio::time::timeout(LOOK, look).await {
            Ok(Ok(Ok(interfaces))) => return interfaces,
            Ok(Ok(Err(error))) => {
                tracing::warn!(driver, %error, "a network driver does not list the host's interfaces")
            }
            Ok(Err(error)) => tracing::error!(driver, %error, "listing the host's interfaces failed"),
            Err(_) => tracing::warn!(driver, "a network driver takes long to list the host's interfaces"),
        }
    }
    hull.networks.seen()
}

/// Any driver that can look at the host's interfaces.
pub(super) fn any(hull: &Hull) -> Result<NetworkHandle, ApiError> {
    let driver = hull.plugins.drivers(PluginKind::Network).into_iter().next();
    let driver =
        driver.ok_or_else(|| ApiError::new(http::StatusCode::SERVICE_UNAVAILABLE, "no network driver is installed"))?;
    Ok(hull.plugins.network(&driver)?)
}

async fn that_can(hull: &Hull, capability: &str) -> Option<Arc<Description>> {
    hull.plugins.descriptions(PluginKind::Network).await.into_iter().find(|one| one.can(capability))
}
