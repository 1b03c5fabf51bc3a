//! Copying an instance or a snapshot on one server.

use crate::client::url;
use crate::commands::create::{device_overrides, named_instance};
use crate::commands::pairs::strict_pairs;
use crate::context::Context;
use anyhow::{Result, bail};
use http::Method;
use hull_api::{Config, Devices, InstanceSource, InstancesPost};
use serde::Deserialize;

/// Copy an instance, or make one from a snapshot
#[derive(Debug, clap::Args)]
pub(crate) struct Copy {
    #[arg(value_name = "[REMOTE:]INSTANCE[/SNAPSHOT]")]
    source: String,
    #[arg(value_name = "[REMOTE:][INSTANCE]")]
    target: Option<String>,
    /// A key of the copy
    #[arg(short, long, value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// A key of a device of the copy
    #[arg(short, long, value_name = "DEVICE,KEY=VALUE")]
    device: Vec<String>,
    /// Delete the copy when it stops
    #[arg(short, long)]
    ephemeral: bool,
    /// Without the snapshots
    #[arg(long)]
    instance_only: bool,
    /// Without profiles
    #[arg(long)]
    no_profiles: bool,
    /// A profile of the copy, instead of those of the source
    #[arg(short, long)]
    profile: Vec<String>,
    /// Copy only what changed
    #[arg(long)]
    refresh: bool,
    /// Put the copy into this storage pool
    #[arg(short, long, value_name = "POOL")]
    storage: Option<String>,
}

/// What an instance and a snapshot have in common.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Source {
    architecture: String,
    config: Config,
    devices: Devices,
    expanded_devices: Devices,
    profiles: Vec<String>,
    description: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Copy {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, source) = cx.locate(&self.source)?;
        let (other, target) = cx.locate_or_default(self.target.as_deref())?;
        if other.remote != server.remote {
            bail!(
                "cannot copy `{source}` from `{}` to `{}`: this version copies on one server only",
                server.remote,
                other.remote
            );
        }
        let path = match source.split_once('/') {
            Some((instance, snapshot)) => url(&["instances", instance, "snapshots", snapshot]),
            None => url(&["instances", &source]),
        };
        let mut found: Source = server.get(&path).await?;
        found.config.retain(|key, _| !key.starts_with("volatile.") || key == "volatile.base_image");
        found.config.extend(strict_pairs(&self.config)?);
        let inherited = found.expanded_devices.clone();
        device_overrides(&self.device, &mut found.devices, &inherited)?;
        if let Some(pool) = self.storage {
            let root = found
                .expanded_devices
                .into_iter()
                .find(|(_, device)| device.get("path").is_some_and(|path| path == "/"));
            let (name, mut root) = root.unwrap_or_else(|| {
                ("root".into(), Config::from([("type".into(), "disk".into()), ("path".into(), "/".into())]))
            });
            root.insert("pool".into(), pool);
            found.devices.insert(name, root);
        }
        let profiles = match (self.no_profiles, self.profile.is_empty()) {
            (true, _) => Vec::new(),
            (false, true) => found.profiles,
            (false, false) => self.profile,
        };
        let request = InstancesPost {
            architecture: found.architecture,
            config: found.config,
            devices: found.devices,
            ephemeral: self.ephemeral,
            profiles: Some(profiles),
            description: found.description,
            name: target.clone(),
            kind: found.kind,
            source: InstanceSource {
                kind: "copy".into(),
                source: source.clone(),
                project: server.project.clone().unwrap_or_default(),
                instance_only: self.instance_only || source.contains('/'),
                refresh: self.refresh,
                ..InstanceSource::default()
            },
            ..InstancesPost::default()
        };
        let operation = server.start(Method::POST, &url(&["instances"]), &request, "").await?;
        let done = cx.wait(&server, operation, "Transferring instance").await?;
        if target.is_empty() {
            cx.printer.line(format!("Instance name is: {}", named_instance(&done).unwrap_or_default()));
        }
        Ok(())
    }
}
