//! `hull list`: which instances, and how they are shown.

use super::column::Column;
use super::{column, filter};
use crate::client::url;
use crate::commands::header;
use crate::context::Context;
use crate::output::{Format, Listing, sort_naturally};
use anyhow::Result;
use hull_api::InstanceFull;
use serde_json::value::RawValue;

/// List the instances
///
/// Filters are beginnings of names, regular expressions on names, `KEY=VALUE` of the configuration, and `type=`, `status=`,
/// `architecture=`, `location=` and `project=`. Columns: 4 IPv4, 6 IPv6, a architecture, b storage pool, c creation, d description,
/// D disk usage, e project, f base image, F its whole fingerprint, l last use, L location, m memory, M memory %, n name,
/// N processes, p PID, P profiles, s state, S snapshots, t type, u CPU seconds; or `KEY[:NAME[:WIDTH]]` and
/// `devices:NAME.KEY[:NAME[:WIDTH]]`.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[arg(value_name = "[REMOTE:] FILTER")]
    filters: Vec<String>,
    /// Instances of all projects
    #[arg(long)]
    all_projects: bool,
    /// Which columns
    #[arg(short, long, default_value = "ns46tSL")]
    columns: String,
    /// Only what is quick to tell, as with --columns=nsacPt
    #[arg(long)]
    fast: bool,
    /// One of table, csv, json, yaml, compact
    #[arg(short, long, default_value = "table")]
    format: Format,
}

impl List {
    pub(crate) async fn run(mut self, cx: &Context) -> Result<()> {
        let has_remote = self.filters.first().is_some_and(|first| first.contains(':') && !first.contains('='));
        let remote = if has_remote { Some(self.filters.remove(0)) } else { None };
        let (server, name) = cx.locate_or_default(remote.as_deref())?;
        if !name.is_empty() {
            self.filters.insert(0, name);
        }
        let columns = self.columns()?;
        let full = matches!(self.format, Format::Json | Format::Yaml)
            || columns.iter().any(Column::needs_state)
            || self.filters.iter().any(|filter| filter::needs_state(filter));
        let mut path = url(&["instances"]) + if full { "?recursion=2" } else { "?recursion=1" };
        if self.all_projects {
            path.push_str("&all-projects=true");
        }
        let raw: Vec<Box<RawValue>> = server.get(&path).await?;
        let mut chosen = Vec::new();
        let mut instances = Vec::new();
        for value in raw {
            let instance: InstanceFull = serde_json::from_str(value.get())?;
            if filter::matches_all(&instance, &self.filters) {
                instances.push(instance);
                chosen.push(value);
            }
        }
        if self.format == Format::Json {
            cx.printer.line(Listing::raw_json(&chosen));
            return Ok(());
        }
        let mut rows: Vec<Vec<String>> =
            instances.iter().map(|instance| columns.iter().map(|column| column.cell(instance)).collect()).collect();
        sort_naturally(&mut rows);
        let titles: Vec<String> = columns.iter().map(Column::title).collect();
        Listing {
            header: &header(&titles.iter().map(String::as_str).collect::<Vec<_>>()),
            rows: &rows,
            values: &instances,
        }
        .print(&cx.printer, self.format)
    }

    fn columns(&self) -> Result<Vec<Column>> {
        let usual = self.columns == "ns46tSL";
        if self.fast && !usual {
            anyhow::bail!("Can't specify --fast with --columns");
        }
        let mut words = match (self.fast, usual) {
            (true, _) => "nsacPt".to_owned(),
            (false, true) => "ns46tS".to_owned(), // a location means something in clusters only
            (false, false) => self.columns.clone(),
        };
        if self.all_projects && (usual || self.fast) {
            words.insert(0, 'e');
        }
        column::parse(&words)
    }
}
