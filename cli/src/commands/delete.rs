//! Deleting instances and snapshots.

use crate::client::{Server, url};
use crate::context::Context;
use anyhow::{Context as _, Result, bail};
use http::Method;
use hull_api::{Instance, InstanceStatePut, StatusCode};

/// Delete instances and snapshots
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    #[arg(value_name = "[REMOTE:]INSTANCE[/SNAPSHOT]", required = true)]
    names: Vec<String>,
    /// Stop instances that run
    #[arg(short, long)]
    force: bool,
    /// Ask before each
    #[arg(short, long)]
    interactive: bool,
}

impl Delete {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        // All must exist before the first is touched.
        let mut found = Vec::new();
        for word in &self.names {
            let (server, name) = cx.locate(word)?;
            if let Some((instance, snapshot)) = name.split_once('/') {
                found.push((server, url(&["instances", instance, "snapshots", snapshot]), name, None));
                continue;
            }
            let path = url(&["instances", &name]);
            let instance: Instance = server
                .get(&path)
                .await
                .with_context(|| format!("Failed checking instance exists \"{}:{name}\"", server.remote))?;
            found.push((server, path, name, Some(instance)));
        }
        for (server, path, name, instance) in found {
            if self.interactive {
                self.confirm(cx, &name)?;
            }
            if let Some(instance) = instance {
                self.stop(cx, &server, &path, &instance).await?;
                if instance.ephemeral && is_active(&instance) {
                    continue; // gone with its stop
                }
            }
            let operation = server.start(Method::DELETE, &path, &(), "").await?;
            cx.wait(&server, operation, "").await?;
        }
        Ok(())
    }

    fn confirm(&self, cx: &Context, name: &str) -> Result<()> {
        match cx.ask(&format!("Remove {name} (yes/no): "))?.to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => bail!("User aborted delete operation"),
        }
    }

    async fn stop(&self, cx: &Context, server: &Server, path: &str, instance: &Instance) -> Result<()> {
        if !is_active(instance) {
            return Ok(());
        }
        if !self.force {
            bail!("The instance is currently running, stop it first or pass --force");
        }
        let request = InstanceStatePut { action: "stop".into(), timeout: -1, force: true, stateful: false };
        let operation = server.start(Method::PUT, &format!("{path}/state"), &request, "").await?;
        cx.wait(server, operation, "").await.context("Stopping the instance failed").map(drop)
    }
}

fn is_active(instance: &Instance) -> bool {
    instance.status_code != StatusCode::STOPPED && instance.status_code.0 != 0
}
