//! Creating a custom volume.

use crate::client::url;
use crate::commands::pairs::strict_pairs;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use serde_json::json;
use std::collections::BTreeMap;

/// Create a custom volume
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    #[arg(value_name = "[REMOTE:]POOL")]
    pool: String,
    volume: String,
    #[arg(value_name = "KEY=VALUE")]
    pairs: Vec<String>,
    /// Content of the volume: filesystem or block
    #[arg(long = "type", default_value = "filesystem")]
    content: String,
}

impl Create {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, pool) = cx.locate(&self.pool)?;
        let config: BTreeMap<String, String> = strict_pairs(&self.pairs)?.into_iter().collect();
        let request = json!({"name": self.volume, "type": "custom", "content_type": self.content, "config": config});
        let operation = server.start(Method::POST, &url(&["storage-pools", &pool, "volumes"]), &request, "").await?;
        cx.wait(&server, operation, "").await?;
        cx.printer.done(format!("Storage volume {} created", self.volume));
        Ok(())
    }
}
