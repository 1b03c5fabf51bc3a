//! Space of a storage pool and who uses it.

use crate::client::url;
use crate::commands::show;
use crate::context::Context;
use crate::output::iec;
use anyhow::Result;
use hull_api::{ResourcesStoragePool, StoragePool};
use serde_json::json;
use std::collections::BTreeMap;

/// Show the space of a storage pool and who uses it
#[derive(Debug, clap::Args)]
pub(crate) struct Info {
    #[arg(value_name = "[REMOTE:]POOL")]
    name: String,
    /// Sizes in bytes
    #[arg(long)]
    bytes: bool,
}

impl Info {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = cx.locate(&self.name)?;
        let path = url(&["storage-pools", &name]);
        let pool: StoragePool = server.get(&path).await?;
        let space = server.get::<ResourcesStoragePool>(&format!("{path}/resources")).await?.space;
        let size = |bytes: u64| {
            if self.bytes { bytes.to_string() } else { iec(i64::try_from(bytes).unwrap_or(i64::MAX)) }
        };
        let info = json!({
            "info": {
                "description": pool.description, "driver": pool.driver, "name": pool.name,
                "space used": size(space.used), "total space": size(space.total),
            },
            "used by": users(&pool.used_by),
        });
        show(cx, &info)
    }
}

/// Names by kind, from URLs such as `/1.0/instances/c1`.
fn users(urls: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for user in urls {
        let (path, project) = user.split_once("?project=").unwrap_or((user, ""));
        let parts: Vec<&str> = path.trim_start_matches("/1.0/").split('/').collect();
        let (kind, name) = match parts.as_slice() {
            ["storage-pools", _, "volumes", _, name, ..] => ("volumes", *name),
            [kind, name, ..] => (*kind, *name),
            _ => continue,
        };
        let project = if project.is_empty() { String::new() } else { format!(" (project \"{project}\")") };
        users.entry(kind.to_owned()).or_default().push(format!("{name}{project}"));
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_grouped_by_kind() {
        let urls =
            ["/1.0/instances/c1", "/1.0/instances/c1/snapshots/s", "/1.0/profiles/p?project=x"].map(str::to_owned);
        let users = users(&urls);
        assert_eq!(users["instances"], ["c1", "c1"]);
        assert_eq!(users["profiles"], ["p (project \"x\")"]);
    }
}
