//! A profile as YAML.

use crate::client::url;
use crate::commands::show;
use crate::context::Context;
use anyhow::Result;
use hull_api::Profile;

/// Show a profile as YAML
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[arg(value_name = "[REMOTE:]PROFILE")]
    name: String,
}

impl Show {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        show(cx, &server.get::<Profile>(&url(&["profiles", &name])).await?)
    }
}
