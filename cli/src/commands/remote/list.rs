//! The list of remotes.

use crate::commands::{header, yes_no};
use crate::context::Context;
use crate::output::{Format, Listing, sort_naturally, to_yaml};
use crate::settings::RemoteEntry;
use anyhow::Result;

/// List the remotes
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// One of table, csv, json, yaml, compact
    #[arg(short, long, default_value = "table")]
    format: Format,
}

impl List {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let default = &cx.settings.default_remote;
        let row = |(name, entry): (&String, &RemoteEntry)| {
            let mark = if name == default { " (current)" } else { "" };
            let protocol = if entry.protocol.is_empty() { "lxd" } else { &entry.protocol };
            let authentication = if entry.addr.starts_with("unix:") { "file access" } else { "none" };
            let no = yes_no(false);
            vec![
                format!("{name}{mark}"),
                entry.addr.clone(),
                protocol.to_owned(),
                authentication.to_owned(),
                yes_no(entry.public),
                yes_no(entry.fixed),
                no,
            ]
        };
        let mut rows: Vec<Vec<String>> = cx.settings.remotes.iter().map(row).collect();
        sort_naturally(&mut rows);
        let header = header(&["NAME", "URL", "PROTOCOL", "AUTH TYPE", "PUBLIC", "STATIC", "GLOBAL"]);
        // Machines get a map, not a list.
        match self.format {
            Format::Yaml => cx.printer.text(to_yaml(&serde_json::to_value(&cx.settings.remotes)?)? + "\n"),
            Format::Json => cx.printer.line(serde_json::to_string(&cx.settings.remotes)?),
            _ => Listing { header: &header, rows: &rows, values: &[&cx.settings.remotes] }
                .print(&cx.printer, self.format)?,
        }
        Ok(())
    }
}
