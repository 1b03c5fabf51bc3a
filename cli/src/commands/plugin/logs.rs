//! What a plugin wrote last.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use std::collections::BTreeMap;

/// Show what a plugin's processes wrote last
#[derive(Debug, clap::Args)]
pub(crate) struct Logs {
    #[arg(value_name = "[REMOTE:]PLUGIN")]
    plugin: String,
}

impl Logs {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.plugin)?;
        let texts: BTreeMap<String, String> = server.get(&url(&["plugins", &name, "logs"])).await?;
        for (process, text) in &texts {
            if texts.len() > 1 {
                cx.printer.text(format!("==> {process}\n"));
            }
            cx.printer.text(printable(text));
        }
        Ok(())
    }
}

/// A plugin's text must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() && !"\n\t".contains(char) { '\u{fffd}' } else { char }).collect()
}
