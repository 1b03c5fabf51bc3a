//! Editing the properties of an image.

use crate::context::Context;
use anyhow::Result;

/// Edit the properties of an image as YAML, in an editor or from a pipe
#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    #[arg(value_name = "[REMOTE:]IMAGE")]
    image: String,
}

impl Edit {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let keyed = super::load(cx, &self.image).await?;
        let shown = keyed.written();
        keyed
            .edit(cx, &shown, "These are the properties of the image as YAML. Lines that start with # are ignored.")
            .await
    }
}
