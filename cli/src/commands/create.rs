//! Making instances from images: `init`, and `launch`, which starts them too.

use crate::client::{ApiError, Server, url};
use crate::commands::network::nic;
use crate::commands::pairs::strict_pairs;
use crate::context::Context;
use crate::output::parse_yaml;
use crate::settings::Place;
use anyhow::{Context as _, Result, bail};
use http::Method;
use hull_api::{
    Config, Devices, Image, ImageAliasesEntry, Instance, InstancePut, InstanceSource, InstanceStatePut, InstancesPost,
    Operation, Profile, StoragePool,
};

/// Make an instance from an image
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    #[command(flatten)]
    wish: Wish,
}

/// Make an instance from an image and start it
#[derive(Debug, clap::Args)]
pub(crate) struct Launch {
    #[command(flatten)]
    wish: Wish,
    /// Attach to the console at once
    #[arg(long, value_name = "TYPE", num_args = 0..=1, require_equals = true, default_missing_value = "console")]
    console: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Wish {
    #[arg(value_name = "[REMOTE:]IMAGE", required_unless_present = "empty")]
    image: Option<String>,
    #[arg(value_name = "[REMOTE:]NAME")]
    name: Option<String>,
    /// A key of the instance
    #[arg(short, long, value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// A key of a device
    #[arg(short, long, value_name = "DEVICE,KEY=VALUE")]
    device: Vec<String>,
    /// Delete the instance when it stops
    #[arg(short, long)]
    ephemeral: bool,
    /// Without an image
    #[arg(long)]
    empty: bool,
    /// Plug it into this network
    #[arg(short, long)]
    network: Option<String>,
    /// Without profiles
    #[arg(long, conflicts_with = "profile")]
    no_profiles: bool,
    /// A profile of the instance, instead of `default`
    #[arg(short, long)]
    profile: Vec<String>,
    /// Put it into this storage pool
    #[arg(short, long, value_name = "POOL")]
    storage: Option<String>,
    /// Limits of a cloud's instance type, such as t2.micro
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// A virtual machine
    #[arg(long)]
    vm: bool,
}

impl Init {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        create(cx, self.wish).await.map(drop)
    }
}

impl Launch {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, name) = create(cx, self.wish).await?;
        cx.printer.done(format!("Starting {name}"));
        let request = InstanceStatePut { action: "start".into(), timeout: -1, ..InstanceStatePut::default() };
        let operation = server.start(Method::PUT, &url(&["instances", &name, "state"]), &request, "").await?;
        cx.wait(&server, operation, "")
            .await
            .map_err(|error| anyhow::anyhow!("{error:#}\nTry `hull info --show-log {name}` for more info"))?;
        match self.console {
            Some(_) => super::console::attach(cx, &server, &name).await,
            None => Ok(()),
        }
    }
}

async fn create(cx: &Context, mut wish: Wish) -> Result<(Server, String)> {
    if wish.empty && wish.image.is_some() && wish.name.is_some() {
        bail!("--empty cannot be combined with an image name");
    }
    if wish.empty && wish.name.is_none() {
        wish.name = wish.image.take();
    }
    let (server, name) = cx.locate_or_default(wish.name.as_deref())?;
    let source = match wish.image.as_deref() {
        Some(reference) if !wish.empty => source(cx, &server, reference).await,
        _ => Ok(InstanceSource { kind: "none".into(), ..InstanceSource::default() }),
    };
    let put: InstancePut = match cx.piped()? {
        Some(text) if !text.trim().is_empty() => parse_yaml(&text).context("cannot read the instance from stdin")?,
        _ => InstancePut::default(),
    };
    // LXD's client says what it is about before it says that it cannot.
    let unknown_remote = source.as_ref().is_err_and(|error| !error.is::<ApiError>());
    if !unknown_remote {
        cx.printer.done(if name.is_empty() { "Creating the instance".to_owned() } else { format!("Creating {name}") });
    }
    let request = request(&server, wish, put, source?, name).await?;
    let operation = server.start(Method::POST, &url(&["instances"]), &request, "").await?;
    let done = cx.wait(&server, operation, "Retrieving image").await?;
    let name = named_instance(&done).unwrap_or_else(|| request.name.clone());
    if request.name.is_empty() {
        cx.printer.done(format!("Instance name is: {name}"));
    }
    warn_without_network(cx, &server, &name).await?;
    Ok((server, name))
}

async fn request(
    server: &Server,
    wish: Wish,
    put: InstancePut,
    source: InstanceSource,
    name: String,
) -> Result<InstancesPost> {
    let mut config = put.config;
    config.extend(strict_pairs(&wish.config)?);
    let mut devices = put.devices;
    let profiles = match (wish.no_profiles, wish.profile.is_empty()) {
        (true, _) => Some(Vec::new()),
        (false, false) => Some(wish.profile),
        (false, true) => (!put.profiles.is_empty()).then_some(put.profiles),
    };
    if let Some(network) = &wish.network {
        let found = nic(server, network, Some("eth0".into())).await;
        devices.insert("eth0".into(), found.with_context(|| format!("Failed loading network \"{network}\""))?);
    }
    if !wish.device.is_empty() {
        let inherited = inherited_devices(server, profiles.as_deref()).await?;
        device_overrides(&wish.device, &mut devices, &inherited)?;
    }
    if let Some(pool) = wish.storage {
        let known = server.get::<StoragePool>(&url(&["storage-pools", &pool])).await;
        known.with_context(|| format!("Failed loading storage pool \"{pool}\""))?;
        let root = devices.entry("root".into()).or_default();
        root.extend([("type", "disk"), ("path", "/")].map(|(key, value)| (key.to_owned(), value.to_owned())));
        root.insert("pool".into(), pool);
    }
    Ok(InstancesPost {
        architecture: put.architecture,
        config,
        devices,
        ephemeral: wish.ephemeral || put.ephemeral,
        profiles,
        description: put.description,
        name,
        source,
        instance_type: wish.kind.unwrap_or_default(),
        kind: if wish.vm { "virtual-machine" } else { "container" }.to_owned(),
        ..InstancesPost::default()
    })
}

/// What `[REMOTE:]IMAGE` means to the daemon: an image it has, or one it is to fetch.
async fn source(cx: &Context, server: &Server, reference: &str) -> Result<InstanceSource> {
    let origin = cx.settings.origin(reference)?;
    let mut source = InstanceSource { kind: "image".into(), ..InstanceSource::default() };
    match cx.settings.place(&origin.remote)? {
        Place::Images { protocol, server } => {
            source.mode = "pull".into();
            source.protocol = protocol;
            source.server = server;
            source.alias = if origin.name.is_empty() { "default".to_owned() } else { origin.name };
        }
        Place::Socket(socket) if socket == server.socket => {
            source.fingerprint = fingerprint(server, &origin.name).await?;
        }
        Place::Socket(_) => {
            bail!("cannot use the image `{reference}`: it is on another daemon\nhint: copy it here first")
        }
    }
    Ok(source)
}

/// The fingerprint of the image called `name`: an alias or the beginning of a fingerprint.
pub(crate) async fn fingerprint(server: &Server, name: &str) -> Result<String> {
    let name = if name.is_empty() { "default" } else { name };
    match server.get::<ImageAliasesEntry>(&url(&["images", "aliases", name])).await {
        Ok(alias) => Ok(alias.target),
        Err(error) if ApiError::is_not_found(&error) => {
            Ok(server.get::<Image>(&url(&["images", name])).await?.fingerprint)
        }
        Err(error) => Err(error),
    }
}

/// The devices that `profiles` (`None`: the default one) bring.
async fn inherited_devices(server: &Server, profiles: Option<&[String]>) -> Result<Devices> {
    let default = ["default".to_owned()];
    let mut devices = Devices::new();
    for name in profiles.unwrap_or(&default) {
        devices.extend(server.get::<Profile>(&url(&["profiles", name])).await?.devices);
    }
    Ok(devices)
}

/// Applies words like `eth0,mtu=1400`. A device that is only inherited is copied first.
pub(crate) fn device_overrides(words: &[String], devices: &mut Devices, inherited: &Devices) -> Result<()> {
    for word in words {
        let Some((device, pair)) = word.split_once(',') else {
            bail!("Invalid device override format: {word}, expected DEVICE,KEY=VALUE")
        };
        let pairs: Vec<String> = pair.split(',').map(str::to_owned).collect();
        let copied = || inherited.get(device).cloned().unwrap_or_else(Config::new);
        devices.entry(device.to_owned()).or_insert_with(copied).extend(strict_pairs(&pairs)?);
    }
    Ok(())
}

/// The name of the instance that `operation` made.
pub(crate) fn named_instance(operation: &Operation) -> Option<String> {
    let url = operation.resources.get("instances").or_else(|| operation.resources.get("containers"))?.first()?;
    url.split('?').next()?.rsplit('/').next().map(str::to_owned)
}

async fn warn_without_network(cx: &Context, server: &Server, name: &str) -> Result<()> {
    let instance: Instance = server.get(&url(&["instances", name])).await?;
    let has_nic = instance.expanded_devices.values().any(|device| device.get("type").is_some_and(|kind| kind == "nic"));
    if !has_nic {
        cx.printer.note(format!("\n{name} has no network interface\nhint: `hull network list` shows the networks, `hull network attach NETWORK {name}` plugs it in\n"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_start_from_what_is_inherited() {
        let eth0 = Config::from([("type".to_owned(), "nic".to_owned())]);
        let inherited = Devices::from([("eth0".to_owned(), eth0)]);
        let mut devices = Devices::new();
        device_overrides(&["eth0,mtu=1400".to_owned(), "d,type=disk,path=/x".to_owned()], &mut devices, &inherited)
            .unwrap();
        assert_eq!(devices["eth0"]["type"], "nic");
        assert_eq!(devices["eth0"]["mtu"], "1400");
        assert_eq!(devices["d"]["path"], "/x");
    }

    #[test]
    fn the_operation_names_the_instance() {
        let resources = [("instances".to_owned(), vec!["/1.0/instances/calm-cat?project=x".to_owned()])].into();
        assert_eq!(named_instance(&Operation { resources, ..Operation::default() }).as_deref(), Some("calm-cat"));
    }
}
