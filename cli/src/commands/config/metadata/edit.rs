//! Editing the metadata as YAML.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use hull_api::ImageMetadata;

/// Edit the image metadata of an instance as YAML
#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    #[arg(value_name = "[REMOTE:]INSTANCE")]
    instance: String,
}

impl Edit {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.instance)?;
        let path = url(&["instances", &name, "metadata"]);
        let (current, tag) = server.get_tagged::<ImageMetadata>(&path).await?;
        cx.edit(&current, "### This is the image metadata as YAML.", async |changed: ImageMetadata| {
            server.change(Method::PUT, &path, &changed, &tag).await
        })
        .await
    }
}
