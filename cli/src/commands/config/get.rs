//! One key of an instance or of the server.

use super::target;
use crate::commands::keyed::print_key;
use crate::context::Context;
use anyhow::Result;

/// Print the value of a key of an instance or of the server
#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    #[arg(value_name = "[REMOTE:][INSTANCE] KEY", num_args = 1..=2, required = true)]
    words: Vec<String>,
    /// With the profiles' keys
    #[arg(short, long)]
    expanded: bool,
}

impl Get {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (holder, key) = match self.words.as_slice() {
            [holder, key] => (Some(holder.as_str()), key),
            [key] => (None, key),
            _ => anyhow::bail!("Invalid number of arguments"),
        };
        let keyed = target::load(cx, holder).await?;
        if self.expanded {
            cx.printer.line(keyed.get("expanded_config", key));
        } else {
            print_key(cx, &keyed, key);
        }
        Ok(())
    }
}
