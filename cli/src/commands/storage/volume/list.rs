//! The volumes of a pool.

use crate::client::url;
use crate::commands::header;
use crate::context::Context;
use crate::output::{Format, Listing, sort_naturally};
use anyhow::Result;
use hull_api::StorageVolume;

/// List the volumes of a pool
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[arg(value_name = "[REMOTE:]POOL")]
    pool: String,
    /// One of table, csv, json, yaml, compact
    #[arg(short, long, default_value = "table")]
    format: Format,
}

impl List {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, pool) = cx.locate(&self.pool)?;
        let volumes: Vec<StorageVolume> =
            server.get(&(url(&["storage-pools", &pool, "volumes"]) + "?recursion=1")).await?;
        let mut rows: Vec<Vec<String>> = volumes.iter().map(row).collect();
        // By name, whatever its kind.
        rows.iter_mut().for_each(|row| row.swap(0, 1));
        sort_naturally(&mut rows);
        rows.iter_mut().for_each(|row| row.swap(0, 1));
        let header = header(&["TYPE", "NAME", "DESCRIPTION", "CONTENT-TYPE", "USED BY"]);
        Listing { header: &header, rows: &rows, values: &volumes }.print(&cx.printer, self.format)
    }
}

fn row(volume: &StorageVolume) -> Vec<String> {
    let snapshot = if volume.name.contains('/') { " (snapshot)" } else { "" };
    vec![
        format!("{}{snapshot}", volume.kind),
        volume.name.clone(),
        volume.description.clone(),
        volume.content_type.clone(),
        volume.used_by.len().to_string(),
    ]
}
