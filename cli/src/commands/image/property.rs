//! One property of an image.

use super::load;
use crate::context::Context;
use anyhow::{Result, bail};
use serde_json::Value;

/// Print a property of an image
#[derive(Debug, clap::Args)]
pub(crate) struct GetProperty {
    #[arg(value_name = "[REMOTE:]IMAGE")]
    image: String,
    key: String,
}

/// Set a property of an image
#[derive(Debug, clap::Args)]
pub(crate) struct SetProperty {
    #[arg(value_name = "[REMOTE:]IMAGE")]
    image: String,
    key: String,
    value: String,
}

/// Remove a property of an image
#[derive(Debug, clap::Args)]
pub(crate) struct UnsetProperty {
    #[arg(value_name = "[REMOTE:]IMAGE")]
    image: String,
    key: String,
}

impl GetProperty {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let mut keyed = load(cx, &self.image).await?;
        match keyed.map("properties").get(&self.key).and_then(Value::as_str) {
            Some(value) => cx.printer.line(value),
            None => bail!("Property not found"),
        }
        Ok(())
    }
}

impl SetProperty {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let mut keyed = load(cx, &self.image).await?;
        keyed.map("properties").insert(self.key, Value::String(self.value));
        keyed.save(cx).await
    }
}

impl UnsetProperty {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let mut keyed = load(cx, &self.image).await?;
        keyed.map("properties").remove(&self.key);
        keyed.save(cx).await
    }
}
