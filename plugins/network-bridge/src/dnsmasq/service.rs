//! Starting, replacing and stopping a network's dnsmasq through Hull.

use std::path::Path;
use std::process::Stdio;

use hull_plugin::{Code, DriverError, HostHandle, ServiceSpec};
use nix::unistd::Group;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::hosts::{generation, next_generation};
use super::ready;
use super::settings::{HOSTS, RAW, settings};
use crate::config::Network;
use crate::state::{Durability, write_file};

/// Has dnsmasq run with the settings `network` asks for, or not at all if it asks for nothing.
///
/// The settings' hash is part of the file's name and so of the arguments: Hull replaces a service whose arguments change.
pub(crate) async fn start(host: &HostHandle, network: &Network, directory: &Path) -> Result<(), DriverError> {
    let group =
        ["nogroup", "nobody"].into_iter().find(|name| Group::from_name(name).is_ok_and(|group| group.is_some()));
    let Some(mut text) = settings(network, directory, group) else {
        return stop(host, &network.name).await;
    };
    text += &format!("# generation {}\n", generation(directory));
    std::fs::create_dir_all(directory.join(HOSTS)).map_err(|error| unwritable(&error, &directory.join(HOSTS)))?;
    let name = format!("dnsmasq-{}.conf", fingerprint(&text, &network.raw_dnsmasq));
    let file = directory.join(&name);
    if !network.raw_dnsmasq.is_empty() {
        let raw = directory.join(RAW);
        write_file(&raw, network.raw_dnsmasq.as_bytes(), Durability::Process)
            .map_err(|error| unwritable(&error, &raw))?;
    }
    write_file(&file, text.as_bytes(), Durability::Process).map_err(|error| unwritable(&error, &file))?;
    if !network.raw_dnsmasq.is_empty() {
        check(network, &file).await?;
    }
    let arguments =
        vec!["--keep-in-foreground".into(), format!("--conf-file={}", file.display()), "--pid-file=".into()];
    let spec = ServiceSpec { key: key(&network.name), service: "dnsmasq".into(), arguments };
    let process = host.start_service(spec).await?;
    let address = network.families().into_iter().find_map(|family| family.address).map(|net| net.addr());
    if let Some(address) = address.filter(|_| network.raw_dnsmasq.is_empty()) {
        ready::wait(&process, address, &network.name).await?;
    }
    forget_older(directory, &name);
    Ok(())
}

/// Replaces dnsmasq by one that remembers nothing but the leases. DNS and DHCP pause for some milliseconds.
pub(crate) async fn renew(host: &HostHandle, network: &Network, directory: &Path) -> Result<(), DriverError> {
    next_generation(directory).map_err(|error| unwritable(&error, directory))?;
    start(host, network, directory).await
}

pub(crate) async fn stop(host: &HostHandle, network: &str) -> Result<(), DriverError> {
    host.stop_service(key(network)).await
}

fn key(network: &str) -> String {
    format!("dnsmasq-{network}")
}

/// Lets dnsmasq itself judge `raw.dnsmasq` before the running one is replaced.
async fn check(network: &Network, file: &Path) -> Result<(), DriverError> {
    let mut command = Command::new(DNSMASQ);
    command
        .arg("--test")
        .arg(format!("--conf-file={}", file.display()))
        .stdin(Stdio::null())
        .env_clear()
        .kill_on_drop(true);
    let output = command.output().await.map_err(|error| {
        DriverError::new(Code::Unavailable, format!("cannot run `{DNSMASQ}`"))
            .because(error)
            .hint("install the package dnsmasq-base")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    let message = format!("Invalid value for network {:?} option \"raw.dnsmasq\": {why}", network.name);
    Err(DriverError::invalid("raw.dnsmasq", message))
}

fn fingerprint(settings: &str, raw: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(settings);
    hash.update([0]);
    hash.update(raw);
    hex::encode(&hash.finalize()[..8])
}

/// Settings of earlier runs are of no use; one that cannot be removed does no harm.
fn forget_older(directory: &Path, current: &str) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("dnsmasq-")
            && name != current
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "cannot remove old settings");
        }
    }
}

fn unwritable(error: &std::io::Error, path: &Path) -> DriverError {
    DriverError::system(error, format!("cannot write `{}`", path.display()))
}

const DNSMASQ: &str = "/usr/sbin/dnsmasq";
