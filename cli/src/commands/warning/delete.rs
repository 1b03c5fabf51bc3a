//! Deleting warnings.

use crate::client::url;
use crate::context::Context;
use anyhow::{Result, bail};
use http::Method;
use hull_api::Warning;

/// Delete a warning, or all
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    #[arg(value_name = "[REMOTE:]WARNING")]
    id: Option<String>,
    /// Delete all warnings
    #[arg(short, long)]
    all: bool,
}

impl Delete {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, id) = cx.locate_or_default(self.id.as_deref())?;
        let ids = match (self.all, id.is_empty()) {
            (true, true) => {
                let warnings: Vec<Warning> = server.get(&(url(&["warnings"]) + "?recursion=1")).await?;
                warnings.into_iter().map(|warning| warning.uuid).collect()
            }
            (false, false) => vec![id],
            _ => bail!("Specify a warning UUID or use --all"),
        };
        for id in ids {
            server.change(Method::DELETE, &url(&["warnings", &id]), &(), "").await?;
        }
        Ok(())
    }
}
