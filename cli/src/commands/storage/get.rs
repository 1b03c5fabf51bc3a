//! One key of a storage pool.

use crate::client::url;
use crate::commands::keyed::{DESCRIBED, Keyed, print_set_key};
use crate::context::Context;
use anyhow::Result;

/// Print the value of a key of a storage pool
#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    #[arg(value_name = "[REMOTE:]POOL")]
    name: String,
    key: String,
}

impl Get {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let keyed = Keyed::load(server, url(&["storage-pools", &name]), DESCRIBED).await?;
        print_set_key(cx, &keyed, &self.key);
        Ok(())
    }
}
