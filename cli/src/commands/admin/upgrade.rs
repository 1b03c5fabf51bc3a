//! Replacing the daemon's programs while it serves.

use crate::context::Context;
use anyhow::{Context as _, Result};
use http::Method;
use hull_api::{Operation, UpgradePost};
use std::path::PathBuf;

/// Replace the daemon by another version while it serves
///
/// Running instances, open commands and connections go on. A version that does not get ready is replaced by the present one
/// again. Without a flag the supervisor and the gateway are replaced.
#[derive(Debug, clap::Args)]
pub(crate) struct Upgrade {
    /// The directory with the new programs [default: where hulld was started from, whatever it was replaced by since]
    #[arg(long, value_name = "DIRECTORY")]
    from: Option<PathBuf>,
    /// Replace the supervisor
    #[arg(long)]
    supervisor: bool,
    /// Replace the gateway
    #[arg(long)]
    gateway: bool,
    /// How many seconds to wait for operations that would be cut
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    patience: u64,
}

impl Upgrade {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let server = cx.server("local")?;
        let from = self.from.map(|path| {
            let absolute = std::path::absolute(&path);
            absolute.with_context(|| format!("`{}` is not a path", path.display()))
        });
        let from = from.transpose()?.unwrap_or_default().display().to_string();
        let both = self.supervisor == self.gateway;
        let wish = UpgradePost {
            from,
            supervisor: both || self.supervisor,
            gateway: both || self.gateway,
            patience: self.patience,
        };
        let started = server.start(Method::POST, "/1.0/upgrade", &wish, "").await?;
        let ended = cx.wait(&server, started, "Upgrading").await?;
        cx.printer.line(account(&ended));
        Ok(())
    }
}

/// What happened, on one line.
fn account(operation: &Operation) -> String {
    let said = |key: &str| operation.metadata[key].as_u64();
    let version = |key: &str| operation.metadata[key].as_str().unwrap_or("an unknown version").to_owned();
    let mut text = format!("hulld {} replaced by {}", version("from"), version("to"));
    if let (Some(waited), Some(stall)) = (said("waited_ms"), said("stall_ms")) {
        text.push_str(&format!("; waited {waited} ms for operations, requests were held for {stall} ms"));
    }
    if said("gateway_ms").is_some() {
        text.push_str("; new connections go to the new gateway");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_names_what_was_replaced_and_what_it_cost() {
        let metadata = serde_json::json!({"from": "1.0.0", "to": "1.1.0", "waited_ms": 3, "stall_ms": 70});
        let operation = Operation { metadata, ..Operation::default() };
        let text = account(&operation);
        assert_eq!(text, "hulld 1.0.0 replaced by 1.1.0; waited 3 ms for operations, requests were held for 70 ms");
    }
}
