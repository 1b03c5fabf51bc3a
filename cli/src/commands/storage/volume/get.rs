//! One key of a volume.

use super::keyed;
use crate::commands::keyed::print_set_key;
use crate::context::Context;
use anyhow::Result;

/// Print the value of a key of a volume
#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    #[arg(value_name = "[REMOTE:]POOL")]
    pool: String,
    #[arg(value_name = "[TYPE/]VOLUME")]
    volume: String,
    key: String,
}

impl Get {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let keyed = keyed(cx, &self.pool, &self.volume).await?;
        print_set_key(cx, &keyed, &self.key);
        Ok(())
    }
}
