//! Going back to a snapshot.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use serde_json::json;

/// Bring an instance back to a snapshot
#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    #[arg(value_name = "[REMOTE:]INSTANCE")]
    instance: String,
    snapshot: String,
    /// Restore the running state too
    #[arg(long)]
    stateful: bool,
}

impl Restore {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, instance) = cx.locate(&self.instance)?;
        let request = json!({"restore": self.snapshot, "stateful": self.stateful});
        let operation = server.start(Method::PUT, &url(&["instances", &instance]), &request, "").await?;
        cx.wait(&server, operation, "").await.map(drop)
    }
}
