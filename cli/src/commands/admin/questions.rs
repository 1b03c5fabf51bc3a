//! The questions of `init`, in LXD's order. What is asked is decided here; what is made of it, in the preseed.

use super::init::{BRIDGE, bridge, eth0, listening, root_disk};
use super::preseed::Preseed;
use crate::client::{Server, url};
use crate::commands::show;
use crate::context::Context;
use anyhow::Result;
use hull_api::{Config, Network, Profile, ProfilesPost, StoragePool, StoragePoolsPost};

pub(super) async fn ask(cx: &Context, server: &Server) -> Result<Preseed> {
    let mut preseed = Preseed::default();
    let mut profile = ProfilesPost { name: "default".into(), ..ProfilesPost::default() };
    if yes(cx, "Would you like to use clustering?", false)? {
        cx.printer.note("Clustering is not part of this version: this server stays on its own.");
    }
    storage(cx, server, &mut preseed, &mut profile).await?;
    network(cx, server, &mut preseed, &mut profile).await?;
    if yes(cx, "Would you like the server to be available over the network?", false)? {
        let address = text(cx, "Address to bind to (not including port)", "all")?;
        let port: u16 = text(cx, "Port to bind to", "8443")?.parse()?;
        let address = if address == "all" { "[::]".to_owned() } else { address };
        let address = listening(&address, port);
        cx.printer.note(format!("This version listens on its local socket only, and not at {address}."));
    }
    if !yes(cx, "Would you like stale cached images to be updated automatically?", true)? {
        preseed.config.insert("images.auto_update_interval".into(), "0".into());
    }
    let present = server.get::<Profile>(&url(&["profiles", "default"])).await?.devices;
    // What it has stays: instances may rely on it.
    let has_root = present.values().any(|device| device.get("path").is_some_and(|path| path == "/"));
    profile.devices.retain(|name, _| {
        let stays = present.contains_key(name) || has_root && name == "root";
        if stays {
            cx.printer.note(format!("The profile `default` has a device for \"{name}\" already: it stays as it is."));
        }
        !stays
    });
    if !profile.devices.is_empty() {
        preseed.profiles.push(profile);
    }
    if yes(cx, "Would you like a YAML \"init\" preseed to be printed?", false)? {
        show(cx, &preseed)?;
    }
    Ok(preseed)
}

async fn storage(cx: &Context, server: &Server, preseed: &mut Preseed, profile: &mut ProfilesPost) -> Result<()> {
    if !yes(cx, "Do you want to configure a new storage pool?", true)? {
        return Ok(());
    }
    let known: Vec<StoragePool> = server.get(&(url(&["storage-pools"]) + "?recursion=1")).await?;
    let name = loop {
        let name = text(cx, "Name of the new storage pool", "default")?;
        if known.iter().all(|pool| pool.name != name) {
            break name;
        }
        cx.printer.note(format!("The requested storage pool \"{name}\" already exists. Please choose another name."));
    };
    let environment = server.get::<hull_api::Server>("/1.0").await?.environment;
    let drivers: Vec<String> = environment.storage_supported_drivers.into_iter().map(|driver| driver.name).collect();
    let driver = match drivers.as_slice() {
        [] => "dir".to_owned(),
        [only] => only.clone(),
        several => choice(cx, &format!("Name of the storage backend to use ({})", several.join(", ")), several)?,
    };
    let mut config = Config::new();
    if driver != "dir" && yes(cx, &format!("Create a new {} pool?", driver.to_uppercase()), true)? {
        if yes(cx, "Would you like to use an existing empty block device (e.g. a disk or partition)?", false)? {
            config.insert("source".into(), cx.ask("Path to the existing block device: ")?);
        } else {
            let size = text(cx, "Size in GiB of the new loop device (1GiB minimum)", "5")?;
            config.insert("size".into(), format!("{}GiB", size.trim_end_matches("GiB")));
        }
    } else if driver != "dir" {
        config.insert(
            "source".into(),
            cx.ask(&format!("Name of the existing {} pool or dataset: ", driver.to_uppercase()))?,
        );
    }
    profile.devices.insert("root".into(), root_disk(&name));
    preseed.storage_pools.push(StoragePoolsPost { config, name, driver, ..StoragePoolsPost::default() });
    Ok(())
}

async fn network(cx: &Context, server: &Server, preseed: &mut Preseed, profile: &mut ProfilesPost) -> Result<()> {
    let known: Vec<Network> = server.get(&(url(&["networks"]) + "?recursion=1")).await?;
    if !yes(cx, "Would you like to create a new local network bridge?", true)? {
        if yes(cx, "Would you like to use an existing bridge or host interface?", false)? {
            let name = cx.ask("Name of the existing bridge or host interface: ")?;
            profile
                .devices
                .insert("eth0".into(), super::super::network::nic(server, &name, Some("eth0".into())).await?);
        }
        return Ok(());
    }
    let name = loop {
        let name = text(cx, "What should the new bridge be called?", BRIDGE)?;
        if known.iter().all(|network| network.name != name) {
            break name;
        }
        cx.printer.note(format!("The requested network bridge \"{name}\" already exists. Please choose another name."));
    };
    let mut network = bridge(&name);
    for (key, version) in [("ipv4", "IPv4"), ("ipv6", "IPv6")] {
        let question = format!("What {version} address should be used? (CIDR subnet notation, “auto” or “none”)");
        let address = text(cx, &question, "auto")?;
        if !matches!(address.as_str(), "auto" | "none")
            && yes(cx, &format!("Would you like to NAT {version} traffic on your bridge?"), true)?
        {
            network.config.insert(format!("{key}.nat"), "true".into());
        }
        network.config.insert(format!("{key}.address"), address);
    }
    profile.devices.insert("eth0".into(), eth0(&name));
    preseed.networks.push(network);
    Ok(())
}

fn yes(cx: &Context, question: &str, default: bool) -> Result<bool> {
    loop {
        let shown = if default { "yes" } else { "no" };
        match cx.ask(&format!("{question} (yes/no) [default={shown}]: "))?.to_lowercase().as_str() {
            "" => return Ok(default),
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => cx.printer.note("Invalid input, try again.\n"),
        }
    }
}

fn text(cx: &Context, question: &str, default: &str) -> Result<String> {
    let answer = cx.ask(&format!("{question} [default={default}]: "))?;
    Ok(if answer.is_empty() { default.to_owned() } else { answer })
}

fn choice(cx: &Context, question: &str, choices: &[String]) -> Result<String> {
    let default =
        choices.iter().find(|choice| *choice == "btrfs").or_else(|| choices.first()).cloned().unwrap_or_default();
    loop {
        let answer = text(cx, question, &default)?;
        if choices.contains(&answer) {
            return Ok(answer);
        }
        cx.printer.note("Invalid input, try again.\n");
    }
}
