//! What a daemon is to have: the server's keys, networks, pools, profiles and projects. Applying it twice changes nothing more.

use crate::client::{ApiError, Server, url};
use crate::context::Context;
use anyhow::{Context as _, Result, bail};
use http::Method;
use hull_api::{Config, NetworksPost, ProfilesPost, ProjectsPost, StoragePoolsPost};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Preseed {
    pub(super) config: Config,
    pub(super) networks: Vec<PreseedNetwork>,
    pub(super) storage_pools: Vec<StoragePoolsPost>,
    pub(super) profiles: Vec<ProfilesPost>,
    pub(super) projects: Vec<ProjectsPost>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cluster: Option<Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct PreseedNetwork {
    pub(super) config: Config,
    pub(super) description: String,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) project: String,
}

impl Preseed {
    /// Makes or changes everything named here.
    pub(super) async fn apply(&self, cx: &Context, server: &Server) -> Result<()> {
        if self.cluster.as_ref().is_some_and(|cluster| !cluster.is_null()) {
            bail!("cannot apply the preseed: it asks for a cluster, which this version does not have");
        }
        if !self.config.is_empty() {
            server
                .change(Method::PATCH, "/1.0", &json!({"config": self.config}), "")
                .await
                .context("Failed to update server configuration")?;
        }
        for pool in &self.storage_pools {
            let change = described(json!({"config": pool.config}), &pool.description);
            ensure(cx, server, "storage-pools", &pool.name, pool, &change)
                .await
                .with_context(|| format!("Failed to create storage pool \"{}\"", pool.name))?;
        }
        for network in &self.networks {
            let mut server = server.clone();
            server.project = Some(network.project.clone()).filter(|project| !project.is_empty());
            let request = NetworksPost {
                config: network.config.clone(),
                description: network.description.clone(),
                name: network.name.clone(),
                kind: network.kind.clone(),
            };
            let change = described(json!({"config": network.config}), &network.description);
            ensure(cx, &server, "networks", &network.name, &request, &change)
                .await
                .with_context(|| format!("Failed to create network \"{}\"", network.name))?;
        }
        for project in &self.projects {
            let change = described(json!({"config": project.config}), &project.description);
            ensure(cx, server, "projects", &project.name, project, &change)
                .await
                .with_context(|| format!("Failed to create project \"{}\"", project.name))?;
        }
        for profile in &self.profiles {
            let change = json!({"config": profile.config, "devices": profile.devices});
            let change = described(change, &profile.description);
            ensure(cx, server, "profiles", &profile.name, profile, &change)
                .await
                .with_context(|| format!("Failed to create profile \"{}\"", profile.name))?;
        }
        Ok(())
    }
}

/// With the description, if one is given: else the present one stays.
fn described(mut change: Value, description: &str) -> Value {
    if !description.is_empty() {
        change["description"] = json!(description);
    }
    change
}

/// Creates what is missing, changes what is there.
async fn ensure(
    cx: &Context,
    server: &Server,
    noun: &str,
    name: &str,
    create: &impl Serialize,
    change: &Value,
) -> Result<()> {
    let path = url(&[noun, name]);
    let operation = match server.get::<Value>(&path).await {
        Ok(current) => server.start(Method::PUT, &path, &merged(current, change), "").await?,
        Err(error) if ApiError::is_not_found(&error) => server.start(Method::POST, &url(&[noun]), create, "").await?,
        Err(error) => return Err(error),
    };
    cx.wait(server, operation, "").await.map(drop)
}

/// `change` on top of what is there, map by map.
fn merged(current: Value, change: &Value) -> Value {
    match (current, change) {
        (Value::Object(mut current), Value::Object(change)) => {
            for (key, value) in change {
                let old = current.remove(key).unwrap_or(Value::Null);
                current.insert(key.clone(), merged(old, value));
            }
            Value::Object(current)
        }
        (_, change) => change.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_and_not_named_stays() {
        let current = json!({"config": {"a": "1", "b": "2"}, "name": "p"});
        assert_eq!(
            merged(current, &json!({"config": {"b": "3"}})),
            json!({"config": {"a": "1", "b": "3"}, "name": "p"})
        );
    }
}
