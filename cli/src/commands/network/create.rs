//! Creating a network.

use crate::client::url;
use crate::commands::pairs::strict_pairs;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use hull_api::{NetworkPut, NetworksPost};

/// Create a network, also from a file of YAML (`< FILE`)
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    #[arg(value_name = "[REMOTE:]NETWORK")]
    name: String,
    #[arg(value_name = "KEY=VALUE")]
    pairs: Vec<String>,
    /// Kind of network [default: bridge]
    #[arg(short = 't', long = "type")]
    kind: Option<String>,
}

impl Create {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let NetworkPut { mut config, description } = cx.redirected()?;
        config.extend(strict_pairs(&self.pairs)?);
        let request = NetworksPost { config, description, name, kind: self.kind.unwrap_or_default() };
        let operation = server.start(Method::POST, &url(&["networks"]), &request, "").await?;
        cx.wait(&server, operation, "").await?;
        cx.printer.done(format!("Network {} created", request.name));
        Ok(())
    }
}
