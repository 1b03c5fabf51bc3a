//! Plugging an instance or a profile into a network.

use crate::client::{Server, url};
use crate::commands::keyed::{INSTANCE, Keyed, PROFILE};
use crate::context::Context;
use anyhow::{Result, bail};
use hull_api::{Config, Network};
use serde_json::{Value, json};

/// Plug an instance into a network
#[derive(Debug, clap::Args)]
pub(crate) struct Attach {
    #[arg(value_name = "[REMOTE:]NETWORK")]
    network: String,
    instance: String,
    /// Name of the device [default: that of the network]
    device: Option<String>,
    /// Name of the interface inside the instance
    interface: Option<String>,
}

/// Plug the instances of a profile into a network
#[derive(Debug, clap::Args)]
pub(crate) struct AttachProfile {
    #[arg(value_name = "[REMOTE:]NETWORK")]
    network: String,
    profile: String,
    /// Name of the device [default: that of the network]
    device: Option<String>,
    /// Name of the interface inside the instances
    interface: Option<String>,
}

impl Attach {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, network) = cx.locate(&self.network)?;
        let keyed = Keyed::load(server.clone(), url(&["instances", &self.instance]), INSTANCE).await?;
        add(cx, keyed, nic(&server, &network, self.interface).await?, self.device.unwrap_or(network)).await
    }
}

impl AttachProfile {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, network) = cx.locate(&self.network)?;
        let keyed = Keyed::load(server.clone(), url(&["profiles", &self.profile]), PROFILE).await?;
        add(cx, keyed, nic(&server, &network, self.interface).await?, self.device.unwrap_or(network)).await
    }
}

/// The device that plugs into `network`.
pub(crate) async fn nic(server: &Server, network: &str, interface: Option<String>) -> Result<Config> {
    let found: Network = server.get(&url(&["networks", network])).await?;
    let mut nic = Config::from([("type".to_owned(), "nic".to_owned())]);
    if found.managed {
        nic.insert("network".into(), found.name);
    } else {
        let kind = if found.kind == "bridge" { "bridged" } else { "macvlan" };
        nic.insert("nictype".into(), kind.into());
        nic.insert("parent".into(), found.name);
    }
    nic.extend(interface.map(|name| ("name".to_owned(), name)));
    Ok(nic)
}

async fn add(cx: &Context, mut keyed: Keyed, nic: Config, device: String) -> Result<()> {
    let devices = keyed.map("devices");
    if devices.contains_key(&device) {
        bail!("Device already exists: {device}");
    }
    let nic: Value = json!(nic);
    devices.insert(device, nic);
    keyed.save(cx).await
}
