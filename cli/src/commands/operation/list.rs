//! The list of operations.

use crate::client::url;
use crate::commands::{header, yes_no};
use crate::context::Context;
use crate::output::{Format, Listing, day, sort_naturally};
use anyhow::Result;
use hull_api::Operation;
use std::collections::BTreeMap;

/// List the operations
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
        let by_status: BTreeMap<String, Vec<Operation>> = server.get(&(url(&["operations"]) + "?recursion=1")).await?;
        let operations: Vec<Operation> = by_status.into_values().flatten().collect();
        let mut rows: Vec<Vec<String>> = operations.iter().map(row).collect();
        sort_naturally(&mut rows);
        let header = header(&["ID", "TYPE", "DESCRIPTION", "STATUS", "CANCELABLE", "CREATED"]);
        Listing { header: &header, rows: &rows, values: &operations }.print(&cx.printer, self.format)
    }
}

fn row(operation: &Operation) -> Vec<String> {
    vec![
        operation.id.clone(),
        operation.class.to_uppercase(),
        operation.description.clone(),
        operation.status.to_uppercase(),
        yes_no(operation.may_cancel),
        day(operation.created_at),
    ]
}
