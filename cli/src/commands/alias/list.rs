//! The list of aliases.

use crate::commands::header;
use crate::context::Context;
use crate::output::{Format, Listing};
use anyhow::Result;

/// List the aliases
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// One of table, csv, json, yaml, compact
    #[arg(short, long, default_value = "table")]
    format: Format,
}

impl List {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let rows: Vec<Vec<String>> =
            cx.settings.aliases.iter().map(|(alias, target)| vec![alias.clone(), target.clone()]).collect();
        let values = [&cx.settings.aliases];
        Listing { header: &header(&["ALIAS", "TARGET"]), rows: &rows, values: &values }.print(&cx.printer, self.format)
    }
}
