//! Keys of one device: `get`, `set`, `unset`.

use super::holder::{Holder, device};
use crate::commands::pairs::pairs;
use crate::context::Context;
use anyhow::Result;
use serde_json::Value;

/// Print a key of a device
#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    #[arg(value_name = "[REMOTE:]NAME")]
    holder: String,
    device: String,
    key: String,
}

/// Set keys of a device, as `KEY=VALUE...`
#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    #[arg(value_name = "[REMOTE:]NAME")]
    holder: String,
    device: String,
    #[arg(value_name = "KEY=VALUE", required = true)]
    pairs: Vec<String>,
}

/// Remove a key of a device
#[derive(Debug, clap::Args)]
pub(crate) struct Unset {
    #[arg(value_name = "[REMOTE:]NAME")]
    holder: String,
    device: String,
    key: String,
}

impl Get {
    pub(super) async fn run(self, holder: Holder, cx: &Context) -> Result<()> {
        let (mut keyed, _) = holder.load(cx, &self.holder).await?;
        let device = device(holder, &mut keyed, &self.device)?;
        cx.printer.line(device.get(&self.key).and_then(Value::as_str).unwrap_or_default());
        Ok(())
    }
}

impl Set {
    pub(super) async fn run(self, holder: Holder, cx: &Context) -> Result<()> {
        let (mut keyed, _) = holder.load(cx, &self.holder).await?;
        let pairs = pairs(&self.pairs)?;
        device(holder, &mut keyed, &self.device)?
            .extend(pairs.into_iter().map(|(key, value)| (key, Value::String(value))));
        keyed.save(cx).await
    }
}

impl Unset {
    pub(super) async fn run(self, holder: Holder, cx: &Context) -> Result<()> {
        let (mut keyed, _) = holder.load(cx, &self.holder).await?;
        device(holder, &mut keyed, &self.device)?.remove(&self.key);
        keyed.save(cx).await
    }
}
