//! Editing a volume as YAML.

use super::keyed;
use crate::context::Context;
use anyhow::Result;

/// Edit a volume as YAML, in an editor or from a pipe
#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    #[arg(value_name = "[REMOTE:]POOL")]
    pool: String,
    #[arg(value_name = "[TYPE/]VOLUME")]
    volume: String,
}

impl Edit {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        keyed(cx, &self.pool, &self.volume)
            .await?
            .edit_all(
                cx,
                "This is the volume as YAML. Lines that start with # are ignored; the name cannot be changed here.",
            )
            .await
    }
}
