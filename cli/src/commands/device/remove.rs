//! Removing devices.

use super::holder::Holder;
use crate::context::Context;
use anyhow::Result;

/// Remove devices
#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    #[arg(value_name = "[REMOTE:]NAME")]
    holder: String,
    #[arg(required = true)]
    devices: Vec<String>,
}

impl Remove {
    pub(super) async fn run(self, holder: Holder, cx: &Context) -> Result<()> {
        let (mut keyed, name) = holder.load(cx, &self.holder).await?;
        for device in &self.devices {
            if keyed.map("devices").remove(device).is_none() {
                return Err(holder.missing(&keyed, device, "removed from"));
            }
        }
        keyed.save(cx).await?;
        cx.printer.done(format!("Device {} removed from {name}", self.devices.join(", ")));
        Ok(())
    }
}
