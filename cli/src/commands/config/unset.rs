//! Removing a key of an instance or of the server.

use super::target;
use crate::context::Context;
use anyhow::Result;

/// Remove a key of an instance or of the server
#[derive(Debug, clap::Args)]
pub(crate) struct Unset {
    #[arg(value_name = "[REMOTE:][INSTANCE] KEY", num_args = 1..=2, required = true)]
    words: Vec<String>,
}

impl Unset {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (holder, key) = match self.words.as_slice() {
            [holder, key] => (Some(holder.as_str()), key),
            [key] => (None, key),
            _ => anyhow::bail!("Invalid number of arguments"),
        };
        let mut keyed = target::load(cx, holder).await?;
        if keyed.is_server() {
            // The server keeps keys that a PUT does not name; an empty value unsets one.
            keyed.set(vec![(key.clone(), String::new())]);
        } else {
            keyed.unset(key)?;
        }
        keyed.save(cx).await
    }
}
