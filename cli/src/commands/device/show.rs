//! The devices as YAML.

use super::holder::Holder;
use crate::commands::show;
use crate::context::Context;
use anyhow::Result;

/// Show all devices as YAML
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[arg(value_name = "[REMOTE:]NAME")]
    holder: String,
}

impl Show {
    pub(super) async fn run(self, holder: Holder, cx: &Context) -> Result<()> {
        let (mut keyed, _) = holder.load(cx, &self.holder).await?;
        show(cx, keyed.map("devices"))
    }
}
