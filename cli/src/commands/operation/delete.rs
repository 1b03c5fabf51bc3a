//! Cancelling an operation.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;

/// Cancel an operation
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    #[arg(value_name = "[REMOTE:]OPERATION")]
    id: String,
}

impl Delete {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, id) = cx.locate(&self.id)?;
        server.change(Method::DELETE, &url(&["operations", &id]), &(), "").await?;
        cx.printer.done(format!("Operation {id} deleted"));
        Ok(())
    }
}
