//! Restarting a plugin.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use hull_api::PluginRestartPost;

/// Replace a plugin's processes by fresh ones, without a gap; one that is out of service is tried again
#[derive(Debug, clap::Args)]
pub(crate) struct Restart {
    #[arg(value_name = "[REMOTE:]PLUGIN")]
    plugin: String,
    /// Kill a process that does not hand over
    #[arg(short, long)]
    force: bool,
}

impl Restart {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.plugin)?;
        let body = PluginRestartPost { force: self.force };
        let operation = server.start(Method::POST, &url(&["plugins", &name, "restart"]), &body, "").await?;
        cx.wait(&server, operation, "").await?;
        cx.printer.done(format!("Plugin {name} restarted"));
        Ok(())
    }
}
