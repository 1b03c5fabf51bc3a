//! Editing a profile as YAML.

use crate::client::url;
use crate::commands::keyed::{Keyed, PROFILE};
use crate::context::Context;
use anyhow::Result;

/// Edit a profile as YAML, in an editor or from a pipe
#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    #[arg(value_name = "[REMOTE:]PROFILE")]
    name: String,
}

impl Edit {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let keyed = Keyed::load(server, url(&["profiles", &name]), PROFILE).await?;
        keyed
            .edit_all(
                cx,
                "This is the profile as YAML. Lines that start with # are ignored; the name cannot be changed here.",
            )
            .await
    }
}
