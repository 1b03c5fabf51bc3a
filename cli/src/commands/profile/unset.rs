//! Removing a key of a profile.

use crate::client::url;
use crate::commands::keyed::{Keyed, PROFILE};
use crate::context::Context;
use anyhow::Result;

/// Remove a key of a profile
#[derive(Debug, clap::Args)]
pub(crate) struct Unset {
    #[arg(value_name = "[REMOTE:]PROFILE")]
    name: String,
    key: String,
}

impl Unset {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let mut keyed = Keyed::load(server, url(&["profiles", &name]), PROFILE).await?;
        keyed.forget(&self.key);
        keyed.save(cx).await
    }
}
