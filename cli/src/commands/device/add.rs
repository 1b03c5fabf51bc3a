//! Adding a device.

use super::holder::Holder;
use crate::commands::pairs::strict_pairs;
use crate::context::Context;
use anyhow::{Result, bail};
use serde_json::{Map, Value};

/// Add a device
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    #[arg(value_name = "[REMOTE:]NAME")]
    holder: String,
    device: String,
    #[arg(value_name = "TYPE")]
    kind: String,
    #[arg(value_name = "KEY=VALUE")]
    pairs: Vec<String>,
}

impl Add {
    pub(super) async fn run(self, holder: Holder, cx: &Context) -> Result<()> {
        let (mut keyed, name) = holder.load(cx, &self.holder).await?;
        if keyed.map("devices").contains_key(&self.device) {
            bail!("The device already exists");
        }
        if let Some(word) = self.pairs.iter().find(|word| !word.contains('=')) {
            bail!("No value found in \"{word}\"");
        }
        let mut device: Map<String, Value> =
            strict_pairs(&self.pairs)?.into_iter().map(|(key, value)| (key, Value::String(value))).collect();
        device.insert("type".into(), Value::String(self.kind));
        keyed.map("devices").insert(self.device.clone(), Value::Object(device));
        keyed.save(cx).await?;
        cx.printer.done(format!("Device {} added to {name}", self.device));
        Ok(())
    }
}
