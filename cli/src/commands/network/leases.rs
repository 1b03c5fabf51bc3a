//! Addresses a network has given away.

use crate::client::url;
use crate::commands::header;
use crate::context::Context;
use crate::output::{Format, Listing, sort_naturally};
use anyhow::Result;
use hull_api::NetworkLease;

/// List the addresses that a network has given away
#[derive(Debug, clap::Args)]
pub(crate) struct ListLeases {
    #[arg(value_name = "[REMOTE:]NETWORK")]
    name: String,
    /// One of table, csv, json, yaml, compact
    #[arg(short, long, default_value = "table")]
    format: Format,
}

impl ListLeases {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let leases: Vec<NetworkLease> = server.get(&url(&["networks", &name, "leases"])).await?;
        let row = |lease: &NetworkLease| {
            vec![lease.hostname.clone(), lease.hwaddr.clone(), lease.address.clone(), lease.kind.to_uppercase()]
        };
        let mut rows: Vec<Vec<String>> = leases.iter().map(row).collect();
        sort_naturally(&mut rows);
        let header = header(&["HOSTNAME", "MAC ADDRESS", "IP ADDRESS", "TYPE"]);
        Listing { header: &header, rows: &rows, values: &leases }.print(&cx.printer, self.format)
    }
}
