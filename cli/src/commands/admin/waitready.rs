//! Waiting until the daemon answers.

use crate::context::Context;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::time::Duration;

/// Wait until the daemon is ready
#[derive(Debug, clap::Args)]
pub(crate) struct Waitready {
    /// Give up after so many seconds
    #[arg(short, long)]
    timeout: Option<u64>,
}

impl Waitready {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let server = cx.server("local")?;
        let ready = async {
            while server.get::<Value>("/internal/ready").await.is_err() {
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
        };
        match self.timeout {
            None => ready.await,
            Some(seconds) => {
                tokio::time::timeout(Duration::from_secs(seconds), ready).await.ok().with_context(|| {
                    format!("the daemon at `{}` is not ready after {seconds} s", server.socket.display())
                })?
            }
        }
        Ok(())
    }
}

/// The daemon's socket may not exist yet, so there is nothing to wait on.
const BETWEEN_TRIES: Duration = Duration::from_millis(20);
