//! Unplugging an instance or a profile from a network.

use crate::client::url;
use crate::commands::keyed::{INSTANCE, Keyed, PROFILE};
use crate::context::Context;
use anyhow::{Result, bail};
use serde_json::Value;

/// Unplug an instance from a network
#[derive(Debug, clap::Args)]
pub(crate) struct Detach {
    #[arg(value_name = "[REMOTE:]NETWORK")]
    network: String,
    instance: String,
    /// Which device, when there are several
    device: Option<String>,
}

/// Unplug the instances of a profile from a network
#[derive(Debug, clap::Args)]
pub(crate) struct DetachProfile {
    #[arg(value_name = "[REMOTE:]NETWORK")]
    network: String,
    profile: String,
    /// Which device, when there are several
    device: Option<String>,
}

impl Detach {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, network) = cx.locate(&self.network)?;
        let keyed = Keyed::load(server, url(&["instances", &self.instance]), INSTANCE).await?;
        remove(cx, keyed, &network, self.device).await
    }
}

impl DetachProfile {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, network) = cx.locate(&self.network)?;
        let keyed = Keyed::load(server, url(&["profiles", &self.profile]), PROFILE).await?;
        remove(cx, keyed, &network, self.device).await
    }
}

async fn remove(cx: &Context, mut keyed: Keyed, network: &str, wanted: Option<String>) -> Result<()> {
    let devices = keyed.map("devices");
    let device = match wanted {
        Some(device) => device,
        None => {
            let mut plugged = devices.iter().filter(|(_, device)| is_on(device, network)).map(|(name, _)| name.clone());
            match (plugged.next(), plugged.next()) {
                (Some(_), Some(_)) => bail!("More than one device matches, specify the device name"),
                (Some(only), None) => only,
                (None, _) => bail!("No device found for this network"),
            }
        }
    };
    match devices.get(&device) {
        None => bail!("The specified device doesn't exist"),
        Some(found) if !is_on(found, network) => bail!("The specified device doesn't match the network"),
        Some(_) => devices.remove(&device),
    };
    keyed.save(cx).await
}

fn is_on(device: &Value, network: &str) -> bool {
    let key = |name: &str| device.get(name).and_then(Value::as_str);
    key("type") == Some("nic") && (key("network") == Some(network) || key("parent") == Some(network))
}
