//! Completions for shells.

use crate::context::Context;
use anyhow::Result;

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Completion {
    shell: clap_complete::Shell,
}

impl Completion {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::arguments::tree(), "hull", &mut script);
        cx.printer.bytes(&script);
        Ok(())
    }
}
