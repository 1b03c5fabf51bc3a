//! Setting keys of a storage pool.

use crate::client::url;
use crate::commands::keyed::{DESCRIBED, Keyed};
use crate::commands::pairs::pairs;
use crate::context::Context;
use anyhow::Result;

/// Set keys of a storage pool, as `KEY=VALUE...`
#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    #[arg(value_name = "[REMOTE:]POOL")]
    name: String,
    #[arg(value_name = "KEY=VALUE", required = true)]
    pairs: Vec<String>,
}

impl Set {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let mut keyed = Keyed::load(server, url(&["storage-pools", &name]), DESCRIBED).await?;
        keyed.set(pairs(&self.pairs)?);
        keyed.save(cx).await
    }
}
