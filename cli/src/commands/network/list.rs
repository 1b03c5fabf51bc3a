//! The list of networks.

use crate::client::url;
use crate::commands::{header, yes_no};
use crate::context::Context;
use crate::output::{Format, Listing, sort_naturally};
use anyhow::Result;
use hull_api::Network;

/// List the networks
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[arg(value_name = "REMOTE:")]
    remote: Option<String>,
    /// One of table, csv, json, yaml, compact
    #[arg(short, long, default_value = "table")]
    format: Format,
}

impl List {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let server = cx.server_only(self.remote.as_deref())?;
        let mut networks: Vec<Network> = server.get(&(url(&["networks"]) + "?recursion=1")).await?;
        networks.retain(|network| !matches!(network.kind.as_str(), "loopback" | "unknown"));
        let mut rows: Vec<Vec<String>> = networks.iter().map(row).collect();
        sort_naturally(&mut rows);
        let header = header(&["NAME", "TYPE", "MANAGED", "IPV4", "IPV6", "DESCRIPTION", "USED BY", "STATE"]);
        Listing { header: &header, rows: &rows, values: &networks }.print(&cx.printer, self.format)
    }
}

fn row(network: &Network) -> Vec<String> {
    let key = |name: &str| network.config.get(name).cloned().unwrap_or_default();
    vec![
        network.name.clone(),
        network.kind.clone(),
        yes_no(network.managed),
        key("ipv4.address"),
        key("ipv6.address"),
        network.description.clone(),
        network.used_by.len().to_string(),
        network.status.to_uppercase(),
    ]
}
