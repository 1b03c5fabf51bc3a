//! Deleting a storage pool.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;

/// Delete a storage pool
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    #[arg(value_name = "[REMOTE:]POOL")]
    name: String,
}

impl Delete {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let operation = server.start(Method::DELETE, &url(&["storage-pools", &name]), &(), "").await?;
        cx.wait(&server, operation, "").await?;
        cx.printer.done(format!("Storage pool {name} deleted"));
        Ok(())
    }
}
