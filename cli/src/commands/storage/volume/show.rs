//! A volume as YAML.

use super::kind_and_name;
use crate::client::url;
use crate::commands::show;
use crate::context::Context;
use anyhow::Result;
use hull_api::StorageVolume;

/// Show a volume as YAML
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[arg(value_name = "[REMOTE:]POOL")]
    pool: String,
    #[arg(value_name = "[TYPE/]VOLUME")]
    volume: String,
}

impl Show {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, pool) = cx.locate(&self.pool)?;
        let (kind, name) = kind_and_name(&self.volume);
        let mut volume: StorageVolume = server.get(&url(&["storage-pools", &pool, "volumes", kind, name])).await?;
        volume.used_by.sort();
        show(cx, &volume)
    }
}
