//! Updating images from where they came.

use super::locate;
use crate::context::Context;
use anyhow::Result;
use http::Method;

/// Update images from where they came
#[derive(Debug, clap::Args)]
pub(crate) struct Refresh {
    #[arg(value_name = "[REMOTE:]IMAGE", required = true)]
    images: Vec<String>,
}

impl Refresh {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        for image in &self.images {
            let (server, path) = locate(cx, image).await?;
            let operation = server.start(Method::POST, &format!("{path}/refresh"), &(), "").await?;
            let done = cx.wait(&server, operation, "Refreshing the image").await?;
            let refreshed = done.metadata.get("refreshed").and_then(serde_json::Value::as_bool) == Some(true);
            cx.printer.done(if refreshed { "Image refreshed successfully!" } else { "Image already up to date." });
        }
        Ok(())
    }
}
