//! Deleting a volume.

use super::kind_and_name;
use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;

/// Delete a volume
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    #[arg(value_name = "[REMOTE:]POOL")]
    pool: String,
    #[arg(value_name = "[TYPE/]VOLUME")]
    volume: String,
}

impl Delete {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, pool) = cx.locate(&self.pool)?;
        let (kind, name) = kind_and_name(&self.volume);
        let operation =
            server.start(Method::DELETE, &url(&["storage-pools", &pool, "volumes", kind, name]), &(), "").await?;
        cx.wait(&server, operation, "").await?;
        cx.printer.done(format!("Storage volume {name} deleted"));
        Ok(())
    }
}
