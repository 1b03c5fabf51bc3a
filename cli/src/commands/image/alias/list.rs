//! The list of aliases.

use crate::client::url;
use crate::commands::header;
use crate::context::Context;
use crate::output::{Format, Listing, sort_naturally};
use anyhow::Result;
use hull_api::ImageAliasesEntry;

/// List the names of images
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[arg(value_name = "[REMOTE:] FILTER")]
    filters: Vec<String>,
    /// One of table, csv, json, yaml, compact
    #[arg(short, long, default_value = "table")]
    format: Format,
}

impl List {
    pub(crate) async fn run(mut self, cx: &Context) -> Result<()> {
        let remote = self.filters.first().is_some_and(|word| word.ends_with(':')).then(|| self.filters.remove(0));
        let server = cx.server_only(remote.as_deref())?;
        let mut aliases: Vec<ImageAliasesEntry> = server.get(&(url(&["images", "aliases"]) + "?recursion=1")).await?;
        let matches = |alias: &ImageAliasesEntry| {
            self.filters.iter().all(|filter| alias.name.contains(filter) || alias.target.starts_with(filter))
        };
        aliases.retain(matches);
        let row = |alias: &ImageAliasesEntry| {
            let target = alias.target.chars().take(12).collect();
            vec![alias.name.clone(), target, alias.kind.to_uppercase(), alias.description.clone()]
        };
        let mut rows: Vec<Vec<String>> = aliases.iter().map(row).collect();
        sort_naturally(&mut rows);
        let header = header(&["ALIAS", "FINGERPRINT", "TYPE", "DESCRIPTION"]);
        Listing { header: &header, rows: &rows, values: &aliases }.print(&cx.printer, self.format)
    }
}
