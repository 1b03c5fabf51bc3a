//! Upgrading a plugin.

use crate::client::url;
use crate::context::Context;
use anyhow::{Context as _, Result};
use http::Method;
use hull_api::{Plugin, PluginUpgradePost};
use std::path::PathBuf;

/// Replace a plugin by another version, without a gap; one that does not work is refused
#[derive(Debug, clap::Args)]
pub(crate) struct Upgrade {
    #[arg(value_name = "[REMOTE:]PLUGIN")]
    plugin: String,
    /// Directory on the server with the new version's files [default: what Hull itself comes with]
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Let it do what the present version may not
    #[arg(long)]
    grant: bool,
}

impl Upgrade {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.plugin)?;
        let absolute = |path: PathBuf| {
            std::path::absolute(&path).with_context(|| format!("cannot make `{}` an absolute path", path.display()))
        };
        let source = self.from.map(absolute).transpose()?.unwrap_or_default();
        let body = PluginUpgradePost { source: source.display().to_string(), grant: self.grant };
        let operation = server.start(Method::POST, &url(&["plugins", &name, "upgrade"]), &body, "").await?;
        cx.wait(&server, operation, "").await?;
        let now: Plugin = server.get(&url(&["plugins", &name])).await?;
        cx.printer.done(format!("Plugin {name} upgraded to version {}", now.version));
        Ok(())
    }
}
