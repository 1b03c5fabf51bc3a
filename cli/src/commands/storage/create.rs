//! Creating a storage pool.

use crate::client::url;
use crate::commands::pairs::strict_pairs;
use crate::context::Context;
use crate::output::parse_yaml;
use anyhow::{Context as _, Result};
use http::Method;
use hull_api::{StoragePoolPut, StoragePoolsPost};

/// Create a storage pool
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
        let put: StoragePoolPut = match cx.piped()? {
            Some(text) => parse_yaml(&text).context("cannot read the storage pool from stdin")?,
            None => StoragePoolPut::default(),
        };
        let mut request =
            StoragePoolsPost { config: put.config, description: put.description, name, driver: self.driver };
        request.config.extend(strict_pairs(&self.pairs)?);
        let operation = server.start(Method::POST, &url(&["storage-pools"]), &request, "").await?;
        cx.wait(&server, operation, "").await?;
        cx.printer.done(format!("Storage pool {} created", request.name));
        Ok(())
    }
}
