//! A storage pool as YAML.

use crate::client::url;
use crate::commands::show;
use crate::context::Context;
use anyhow::Result;
use hull_api::{ResourcesStoragePool, StoragePool};

/// Show a storage pool as YAML
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[arg(value_name = "[REMOTE:]POOL")]
    name: String,
    /// Show its space instead
    #[arg(long)]
    resources: bool,
}

impl Show {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        if self.resources {
            return show(cx, &server.get::<ResourcesStoragePool>(&url(&["storage-pools", &name, "resources"])).await?);
        }
        let mut pool: StoragePool = server.get(&url(&["storage-pools", &name])).await?;
        pool.used_by.sort();
        show(cx, &pool)
    }
}
