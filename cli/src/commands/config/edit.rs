//! Editing the settings as YAML.

use super::target;
use crate::context::Context;
use anyhow::Result;

/// Edit the settings of an instance or of the server as YAML, in an editor or from a pipe
#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    #[arg(value_name = "[REMOTE:][INSTANCE[/SNAPSHOT]]")]
    target: Option<String>,
}

impl Edit {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let keyed = target::load(cx, self.target.as_deref()).await?;
        let shown = keyed.written();
        keyed.edit(cx, &shown, "These are the settings as YAML. Lines that start with # are ignored.").await
    }
}
