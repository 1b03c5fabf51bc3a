//! Stopping the daemon and its instances.

use crate::context::Context;
use anyhow::{Context as _, Result};
use http::Method;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

/// Stop the instances and the daemon
#[derive(Debug, clap::Args)]
pub(crate) struct Shutdown {
    /// Give up after so many seconds
    #[arg(short, long)]
    timeout: Option<u64>,
    /// Do not wait for operations that are going on
    #[arg(short, long)]
    force: bool,
}

impl Shutdown {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let server = cx.server("local")?;
        let path = if self.force { "/internal/shutdown?force=true" } else { "/internal/shutdown" };
        let stopped = async {
            server.change(Method::PUT, path, &(), "").await?;
            closed(&server.socket).await;
            anyhow::Ok(())
        };
        match self.timeout {
            None => stopped.await,
            Some(seconds) => tokio::time::timeout(Duration::from_secs(seconds), stopped)
                .await
                .with_context(|| format!("the daemon is still running after {seconds} s"))?,
        }
    }
}

/// Resolves when nobody listens at `socket` any more.
async fn closed(socket: &Path) {
    while let Ok(mut stream) = UnixStream::connect(socket).await {
        // A daemon that is ending says nothing to it; the connection ends with the socket that it waits at.
        let _ = stream.read(&mut [0]).await;
    }
}
