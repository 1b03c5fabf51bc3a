//! The names of the devices.

use super::holder::Holder;
use crate::context::Context;
use anyhow::Result;

/// List the devices
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[arg(value_name = "[REMOTE:]NAME")]
    holder: String,
}

impl List {
    pub(super) async fn run(self, holder: Holder, cx: &Context) -> Result<()> {
        let (mut keyed, _) = holder.load(cx, &self.holder).await?;
        let mut names: Vec<&str> = keyed.map("devices").keys().map(String::as_str).collect();
        names.sort_unstable();
        cx.printer.line(names.join("\n"));
        Ok(())
    }
}
