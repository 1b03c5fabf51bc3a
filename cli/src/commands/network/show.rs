//! A network as YAML.

use crate::client::url;
use crate::commands::show;
use crate::context::Context;
use anyhow::Result;
use hull_api::Network;

/// Show a network as YAML
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[arg(value_name = "[REMOTE:]NETWORK")]
    name: String,
}

impl Show {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let mut network: Network = server.get(&url(&["networks", &name])).await?;
        network.used_by.sort();
        show(cx, &network)
    }
}
