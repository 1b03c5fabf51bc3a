//! Taking a snapshot.

use crate::client::url;
use crate::context::Context;
use anyhow::Result;
use http::Method;
use hull_api::{InstanceSnapshotsPost, Timestamp};

/// Take a snapshot of an instance
#[derive(Debug, clap::Args)]
pub(crate) struct Snapshot {
    #[arg(value_name = "[REMOTE:]INSTANCE")]
    instance: String,
    /// Name of the snapshot [default: the next of the instance's pattern]
    name: Option<String>,
    /// Never let it expire
    #[arg(long)]
    no_expiry: bool,
    /// Delete a snapshot of this name first
    #[arg(long)]
    reuse: bool,
    /// Save the running state too
    #[arg(long)]
    stateful: bool,
}

impl Snapshot {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, instance) = cx.locate(&self.instance)?;
        let path = url(&["instances", &instance, "snapshots"]);
        if let Some(name) = self.name.as_ref().filter(|_| self.reuse) {
            let old = url(&["instances", &instance, "snapshots", name]);
            match server.start(Method::DELETE, &old, &(), "").await {
                Ok(operation) => drop(cx.wait(&server, operation, "").await?),
                Err(error) if crate::client::ApiError::is_not_found(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let request = InstanceSnapshotsPost {
            name: self.name.unwrap_or_default(),
            stateful: self.stateful,
            expires_at: self.no_expiry.then(Timestamp::zero),
        };
        let operation = server.start(Method::POST, &path, &request, "").await?;
        cx.wait(&server, operation, "").await.map(drop)
    }
}
