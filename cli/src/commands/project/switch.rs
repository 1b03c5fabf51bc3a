//! Making a project the one in use.

use crate::client::url;
use crate::context::Context;
use anyhow::{Result, bail};
use hull_api::Project;

/// Use this project from now on
#[derive(Debug, clap::Args)]
pub(crate) struct Switch {
    #[arg(value_name = "[REMOTE:]PROJECT")]
    name: String,
}

impl Switch {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        server.get::<Project>(&url(&["projects", &name])).await?;
        let mut settings = cx.settings.clone();
        match settings.remotes.get_mut(&server.remote) {
            Some(remote) => remote.project = name,
            None => bail!("Remote {} doesn't exist", server.remote),
        }
        settings.save()
    }
}
