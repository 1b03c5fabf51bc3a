//! Deleting images.

use super::locate;
use crate::context::Context;
use anyhow::Result;
use http::Method;

/// Delete images
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    #[arg(value_name = "[REMOTE:]IMAGE", required = true)]
    images: Vec<String>,
}

impl Delete {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        for image in &self.images {
            let (server, path) = locate(cx, image).await?;
            let operation = server.start(Method::DELETE, &path, &(), "").await?;
            cx.wait(&server, operation, "").await?;
        }
        Ok(())
    }
}
