//! The list of profiles.

use crate::client::url;
use crate::commands::header;
use crate::context::Context;
use crate::output::{Format, Listing, sort_naturally};
use anyhow::Result;
use hull_api::Profile;

/// List the profiles
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
        let profiles: Vec<Profile> = server.get(&(url(&["profiles"]) + "?recursion=1")).await?;
        let mut rows: Vec<Vec<String>> = profiles
            .iter()
            .map(|profile| vec![profile.name.clone(), profile.description.clone(), profile.used_by.len().to_string()])
            .collect();
        sort_naturally(&mut rows);
        Listing { header: &header(&["NAME", "DESCRIPTION", "USED BY"]), rows: &rows, values: &profiles }
            .print(&cx.printer, self.format)
    }
}
