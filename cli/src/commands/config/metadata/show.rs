//! The metadata as YAML.

use crate::client::url;
use crate::commands::show;
use crate::context::Context;
use anyhow::Result;
use hull_api::ImageMetadata;

/// Show the image metadata of an instance as YAML
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[arg(value_name = "[REMOTE:]INSTANCE")]
    instance: String,
}

impl Show {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.instance)?;
        show(cx, &server.get::<ImageMetadata>(&url(&["instances", &name, "metadata"])).await?)
    }
}
