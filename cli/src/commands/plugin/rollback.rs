//! Going back to a plugin's earlier version.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use hull_api::Plugin;

/// Go back to the version of a plugin that was run before the last upgrade
#[derive(Debug, clap::Args)]
pub(crate) struct Rollback {
    #[arg(value_name = "[REMOTE:]PLUGIN")]
    plugin: String,
}

impl Rollback {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.plugin)?;
        let operation = server.start(Method::POST, &url(&["plugins", &name, "rollback"]), &(), "").await?;
        cx.wait(&server, operation, "").await?;
        let now: Plugin = server.get(&url(&["plugins", &name])).await?;
        cx.printer.done(format!("Plugin {name} is at version {} again", now.version));
        Ok(())
    }
}
