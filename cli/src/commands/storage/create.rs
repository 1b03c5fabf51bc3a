//! Creating a storage pool.

use crate::client::url;
use crate::commands::pairs::strict_pairs;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use hull_api::{StoragePoolPut, StoragePoolsPost};

/// Create a storage pool, also from a file of YAML (`< FILE`)
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    #[arg(value_name = "[REMOTE:]POOL")]
    name: String,
    driver: String,
    #[arg(value_name = "KEY=VALUE")]
    pairs: Vec<String>,
}

impl Create {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let StoragePoolPut { mut config, description } = cx.redirected()?;
        config.extend(strict_pairs(&self.pairs)?);
        let request = StoragePoolsPost { config, description, name, driver: self.driver };
        let operation = server.start(Method::POST, &url(&["storage-pools"]), &request, "").await?;
        cx.wait(&server, operation, "").await?;
        cx.printer.done(format!("Storage pool {} created", request.name));
        Ok(())
    }
}
