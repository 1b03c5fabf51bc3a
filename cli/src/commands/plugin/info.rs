//! All about a plugin.

use crate::client::url;
use crate::commands::show;
use crate::context::Context;
use anyhow::Result;
use hull_api::Plugin;

/// Show a plugin: its permissions, versions and processes
#[derive(Debug, clap::Args)]
pub(crate) struct Info {
    #[arg(value_name = "[REMOTE:]PLUGIN")]
    plugin: String,
}

impl Info {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.plugin)?;
        show(cx, &server.get::<Plugin>(&url(&["plugins", &name])).await?)
    }
}
