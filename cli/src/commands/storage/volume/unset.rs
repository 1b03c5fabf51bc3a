//! Removing a key of a volume.

use super::keyed;
use crate::context::Context;
use anyhow::Result;

/// Remove a key of a volume
#[derive(Debug, clap::Args)]
pub(crate) struct Unset {
    #[arg(value_name = "[REMOTE:]POOL")]
    pool: String,
    #[arg(value_name = "[TYPE/]VOLUME")]
    volume: String,
    key: String,
}

impl Unset {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let mut keyed = keyed(cx, &self.pool, &self.volume).await?;
        keyed.forget(&self.key);
        keyed.save(cx).await
    }
}
