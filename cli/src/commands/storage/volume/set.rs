//! Setting keys of a volume.

use super::keyed;
use crate::commands::pairs::pairs;
use crate::context::Context;
use anyhow::Result;

/// Set keys of a volume, as `KEY=VALUE...`
#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    #[arg(value_name = "[REMOTE:]POOL")]
    pool: String,
    #[arg(value_name = "[TYPE/]VOLUME")]
    volume: String,
    #[arg(value_name = "KEY=VALUE", required = true)]
    pairs: Vec<String>,
}

impl Set {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let mut keyed = keyed(cx, &self.pool, &self.volume).await?;
        keyed.set(pairs(&self.pairs)?);
        keyed.save(cx).await
    }
}
