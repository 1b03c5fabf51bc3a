//! New names for instances and snapshots: `rename`, and `move` on the same server.

use crate::client::{Server, url};
use crate::context::Context;
use anyhow::{Result, bail};
use http::Method;
use serde_json::json;

/// Rename an instance or a snapshot
#[derive(Debug, clap::Args)]
pub(crate) struct Rename {
    #[arg(value_name = "[REMOTE:]INSTANCE[/SNAPSHOT]")]
    source: String,
    #[arg(value_name = "INSTANCE[/SNAPSHOT]")]
    target: String,
}

/// Move an instance: to another name, pool or project of the same server
#[derive(Debug, clap::Args)]
pub(crate) struct Move {
    #[arg(value_name = "[REMOTE:]INSTANCE[/SNAPSHOT]")]
    source: String,
    #[arg(value_name = "[REMOTE:][INSTANCE[/SNAPSHOT]]")]
    target: Option<String>,
    /// Move to this storage pool
    #[arg(short, long, value_name = "POOL")]
    storage: Option<String>,
    /// Move to this project
    #[arg(long, value_name = "PROJECT")]
    target_project: Option<String>,
    /// Leave the snapshots behind
    #[arg(long)]
    instance_only: bool,
}

impl Rename {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, source) = cx.locate(&self.source)?;
        let target = match self.target.split_once(':') {
            Some((remote, name)) if remote == server.remote => name.to_owned(),
            Some(_) => bail!("Can't specify a different remote for rename"),
            None => self.target,
        };
        rename(cx, &server, &source, &target).await
    }
}

impl Move {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, source) = cx.locate(&self.source)?;
        let (other, target) = cx.locate(self.target.as_deref().unwrap_or(&self.source))?;
        if other.remote != server.remote {
            bail!(
                "cannot move `{source}` from `{}` to `{}`: this version moves on one server only",
                server.remote,
                other.remote
            );
        }
        let target = if target.is_empty() { source.clone() } else { target };
        if self.storage.is_none() && self.target_project.is_none() {
            return rename(cx, &server, &source, &target).await;
        }
        let request = json!({
            "name": target, "migration": true, "pool": self.storage.unwrap_or_default(),
            "project": self.target_project.unwrap_or_default(), "instance_only": self.instance_only,
        });
        let operation = server.start(Method::POST, &url(&["instances", &source]), &request, "").await?;
        cx.wait(&server, operation, "Transferring instance").await.map(drop)
    }
}

async fn rename(cx: &Context, server: &Server, source: &str, target: &str) -> Result<()> {
    let (path, name) = match (source.split_once('/'), target.split_once('/')) {
        (None, None) => (url(&["instances", source]), target),
        (Some((instance, snapshot)), Some((same, name))) if instance == same => {
            (url(&["instances", instance, "snapshots", snapshot]), name)
        }
        (Some((instance, snapshot)), None) => (url(&["instances", instance, "snapshots", snapshot]), target),
        _ => bail!("Invalid new snapshot name, parent must be the same as source"),
    };
    let operation = server.start(Method::POST, &path, &json!({"name": name, "migration": false}), "").await?;
    cx.wait(server, operation, "").await.map(drop)
}
