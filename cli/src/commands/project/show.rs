//! A project as YAML.

use crate::client::url;
use crate::commands::show;
use crate::context::Context;
use anyhow::Result;
use hull_api::Project;

/// Show a project as YAML
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[arg(value_name = "[REMOTE:]PROJECT")]
    name: String,
}

impl Show {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        show(cx, &server.get::<Project>(&url(&["projects", &name])).await?)
    }
}
