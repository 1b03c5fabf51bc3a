//! Setting keys of an instance or of the server.

use super::target;
use crate::commands::pairs::pairs;
use crate::context::Context;
use anyhow::Result;

/// Set keys of an instance or of the server, as `KEY=VALUE...`
///
/// The older form `KEY VALUE` works for one key. A value of `-` is read from stdin.
#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    #[arg(value_name = "[REMOTE:][INSTANCE] KEY=VALUE", required = true)]
    words: Vec<String>,
}

impl Set {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (holder, words) = target::split(&self.words);
        let pairs = pairs(words)?;
        let mut keyed = target::load(cx, holder).await?;
        keyed.set(pairs);
        keyed.save(cx).await
    }
}
