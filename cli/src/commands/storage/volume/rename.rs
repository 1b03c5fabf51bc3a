//! Renaming a custom volume.

use super::kind_and_name;
use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use serde_json::json;

/// Rename a custom volume
#[derive(Debug, clap::Args)]
pub(crate) struct Rename {
    #[arg(value_name = "[REMOTE:]POOL")]
    pool: String,
    #[arg(value_name = "OLD_NAME")]
    volume: String,
    new_name: String,
}

impl Rename {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, pool) = cx.locate(&self.pool)?;
        let (kind, name) = kind_and_name(&self.volume);
        let path = url(&["storage-pools", &pool, "volumes", kind, name]);
        let operation = server.start(Method::POST, &path, &json!({"name": self.new_name}), "").await?;
        cx.wait(&server, operation, "").await?;
        cx.printer.done(format!("Renamed storage volume from \"{name}\" to \"{}\"", self.new_name));
        Ok(())
    }
}
