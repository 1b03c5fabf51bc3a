//! A warning as YAML.

use crate::client::url;
use crate::commands::show;
use crate::context::Context;
use anyhow::Result;
use hull_api::Warning;

/// Show a warning as YAML
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[arg(value_name = "[REMOTE:]WARNING")]
    id: String,
}

impl Show {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, id) = cx.locate(&self.id)?;
        show(cx, &server.get::<Warning>(&url(&["warnings", &id])).await?)
    }
}
