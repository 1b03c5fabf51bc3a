//! The list of warnings.

use crate::client::url;
use crate::commands::header;
use crate::context::Context;
use crate::output::{Format, Listing, sort_naturally, upload_date};
use anyhow::{Result, bail};
use hull_api::Warning;

/// List the warnings
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[arg(value_name = "REMOTE:")]
    remote: Option<String>,
    /// With those that are resolved
    #[arg(short, long)]
    all: bool,
    /// Columns: u id, t type, s status, S severity, c count, p project, l last and f first seen
    #[arg(short, long, default_value = "utSscpLl")]
    columns: String,
    /// One of table, csv, json, yaml, compact
    #[arg(short, long, default_value = "table")]
    format: Format,
}

impl List {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let server = cx.server_only(self.remote.as_deref())?;
        let mut warnings: Vec<Warning> = server.get(&(url(&["warnings"]) + "?recursion=1")).await?;
        if !self.all {
            warnings.retain(|warning| warning.status != "resolved");
        }
        // Where the server is alone, there is no location to show.
        let columns: Vec<char> = self.columns.chars().filter(|letter| *letter != 'L' && *letter != ',').collect();
        let titles = columns.iter().map(|letter| title(*letter)).collect::<Result<Vec<_>>>()?;
        let mut rows: Vec<Vec<String>> =
            warnings.iter().map(|warning| columns.iter().map(|letter| cell(*letter, warning)).collect()).collect();
        sort_naturally(&mut rows);
        Listing { header: &header(&titles), rows: &rows, values: &warnings }.print(&cx.printer, self.format)
    }
}

fn title(letter: char) -> Result<&'static str> {
    Ok(match letter {
        'u' => "UUID",
        't' => "TYPE",
        's' => "SEVERITY",
        'S' => "STATUS",
        'c' => "COUNT",
        'p' => "PROJECT",
        'f' => "FIRST SEEN",
        'l' => "LAST SEEN",
        other => bail!("Unknown column shorthand char '{other}' in '{other}'"),
    })
}

fn cell(letter: char, warning: &Warning) -> String {
    match letter {
        'u' => warning.uuid.clone(),
        't' => warning.kind.clone(),
        's' => warning.severity.to_uppercase(),
        'S' => warning.status.to_uppercase(),
        'c' => warning.count.to_string(),
        'p' => warning.project.clone(),
        'f' => upload_date(warning.first_seen_at),
        _ => upload_date(warning.last_seen_at),
    }
}
