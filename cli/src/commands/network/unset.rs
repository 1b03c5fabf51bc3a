//! Removing a key of a network.

use crate::client::url;
use crate::commands::keyed::{DESCRIBED, Keyed};
use crate::context::Context;
use anyhow::Result;

/// Remove a key of a network
#[derive(Debug, clap::Args)]
pub(crate) struct Unset {
    #[arg(value_name = "[REMOTE:]NETWORK")]
    name: String,
    key: String,
}

impl Unset {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let mut keyed = Keyed::load(server, url(&["networks", &name]), DESCRIBED).await?;
        keyed.forget(&self.key);
        keyed.save(cx).await
    }
}
