//! Editing a project as YAML.

use crate::client::url;
use crate::commands::keyed::{DESCRIBED, Keyed};
use crate::context::Context;
use anyhow::Result;

/// Edit a project as YAML, in an editor or from a pipe
#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    #[arg(value_name = "[REMOTE:]PROJECT")]
    name: String,
}

impl Edit {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let keyed = Keyed::load(server, url(&["projects", &name]), DESCRIBED).await?;
        keyed
            .edit_all(
                cx,
                "This is the project as YAML. Lines that start with # are ignored; the name cannot be changed here.",
            )
            .await
    }
}
