//! One key of a profile.

use crate::client::url;
use crate::commands::keyed::{Keyed, PROFILE, print_key};
use crate::context::Context;
use anyhow::Result;

/// Print the value of a key of a profile
#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    #[arg(value_name = "[REMOTE:]PROFILE")]
    name: String,
    key: String,
}

impl Get {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let keyed = Keyed::load(server, url(&["profiles", &name]), PROFILE).await?;
        print_key(cx, &keyed, &self.key);
        Ok(())
    }
}
