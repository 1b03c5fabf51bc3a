//! Renaming a network.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use hull_api::NetworkPost;

/// Rename a network
#[derive(Debug, clap::Args)]
pub(crate) struct Rename {
    #[arg(value_name = "[REMOTE:]NETWORK")]
    name: String,
    new_name: String,
}

impl Rename {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let request = NetworkPost { name: self.new_name };
        let operation = server.start(Method::POST, &url(&["networks", &name]), &request, "").await?;
        cx.wait(&server, operation, "").await?;
        cx.printer.done(format!("Network {name} renamed to {}", request.name));
        Ok(())
    }
}
