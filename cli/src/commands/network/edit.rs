//! Editing a network as YAML.

use crate::client::url;
use crate::commands::keyed::{DESCRIBED, Keyed};
use crate::context::Context;
use anyhow::Result;

/// Edit a network as YAML, in an editor or from a pipe
#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    #[arg(value_name = "[REMOTE:]NETWORK")]
    name: String,
}

impl Edit {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let keyed = Keyed::load(server, url(&["networks", &name]), DESCRIBED).await?;
        keyed
            .edit_all(
                cx,
                "This is the network as YAML. Lines that start with # are ignored; the name cannot be changed here.",
            )
            .await
    }
}
