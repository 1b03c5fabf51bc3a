//! The list of trusted clients.

use crate::client::url;
use crate::commands::header;
use crate::context::Context;
use crate::output::{Format, Listing, sort_naturally};
use anyhow::Result;
use hull_api::Certificate;

/// List the trusted clients
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
        let certificates: Vec<Certificate> = server.get(&(url(&["certificates"]) + "?recursion=1")).await?;
        let mut rows: Vec<Vec<String>> = certificates
            .iter()
            .map(|certificate| {
                let short = certificate.fingerprint.chars().take(12).collect();
                vec![certificate.kind.clone(), certificate.name.clone(), short, yes_or_no(certificate.restricted)]
            })
            .collect();
        sort_naturally(&mut rows);
        let header = header(&["TYPE", "NAME", "FINGERPRINT", "RESTRICTED"]);
        Listing { header: &header, rows: &rows, values: &certificates }.print(&cx.printer, self.format)
    }
}

fn yes_or_no(restricted: bool) -> String {
    if restricted { "yes" } else { "no" }.to_owned()
}
