//! The properties of an image as YAML.

use crate::commands::show;
use crate::context::Context;
use anyhow::Result;
use hull_api::Image;

/// Show the properties of an image as YAML
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[arg(value_name = "[REMOTE:]IMAGE")]
    image: String,
}

impl Show {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, path) = super::locate(cx, &self.image).await?;
        show(cx, &server.get::<Image>(&path).await?.writable())
    }
}
