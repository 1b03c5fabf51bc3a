//! Giving an instance its own copy of a profile's device.

use super::holder::Holder;
use crate::commands::pairs::strict_pairs;
use crate::context::Context;
use anyhow::{Result, bail};
use serde_json::Value;

/// Copy a device of a profile to the instance, where its keys can differ
#[derive(Debug, clap::Args)]
pub(crate) struct Override {
    #[arg(value_name = "[REMOTE:]INSTANCE")]
    instance: String,
    device: String,
    #[arg(value_name = "KEY=VALUE")]
    pairs: Vec<String>,
}

impl Override {
    pub(super) async fn run(self, cx: &Context) -> Result<()> {
        let (mut keyed, name) = Holder::Instance.load(cx, &self.instance).await?;
        if keyed.map("devices").contains_key(&self.device) {
            bail!("The device already exists");
        }
        let inherited = keyed.value().get("expanded_devices").and_then(|devices| devices.get(&self.device));
        let Some(Value::Object(mut device)) = inherited.cloned() else {
            bail!("The profile device doesn't exist");
        };
        device.extend(strict_pairs(&self.pairs)?.into_iter().map(|(key, value)| (key, Value::String(value))));
        keyed.map("devices").insert(self.device.clone(), Value::Object(device));
        keyed.save(cx).await?;
        cx.printer.done(format!("Device {} overridden for {name}", self.device));
        Ok(())
    }
}
