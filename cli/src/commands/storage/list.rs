//! The list of storage pools.

use crate::client::url;
use crate::commands::header;
use crate::context::Context;
use crate::output::{Format, Listing, sort_naturally};
use anyhow::Result;
use hull_api::StoragePool;

/// List the storage pools
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
        let pools: Vec<StoragePool> = server.get(&(url(&["storage-pools"]) + "?recursion=1")).await?;
        let mut rows: Vec<Vec<String>> = pools.iter().map(row).collect();
        sort_naturally(&mut rows);
        let header = header(&["NAME", "DRIVER", "SOURCE", "DESCRIPTION", "USED BY", "STATE"]);
        Listing { header: &header, rows: &rows, values: &pools }.print(&cx.printer, self.format)
    }
}

fn row(pool: &StoragePool) -> Vec<String> {
    vec![
        pool.name.clone(),
        pool.driver.clone(),
        pool.config.get("source").cloned().unwrap_or_default(),
        pool.description.clone(),
        pool.used_by.len().to_string(),
        pool.status.to_uppercase(),
    ]
}
