//! Deleting files in instances.

use super::place::Place;
use crate::context::Context;
use anyhow::Result;
use http::Method;

/// Delete files in instances
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    #[arg(value_name = "[REMOTE:]INSTANCE/PATH", required = true)]
    files: Vec<String>,
}

impl Delete {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        for file in &self.files {
            let place = Place::parse(cx, file)?;
            place.server.change(Method::DELETE, &place.url(), &(), "").await?;
        }
        Ok(())
    }
}
