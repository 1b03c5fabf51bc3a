//! The first configuration: by default values, by a file, or by questions.

use super::preseed::{Preseed, PreseedNetwork};
use super::{dump, questions};
use crate::client::{Server, url};
use crate::commands::show;
use crate::context::Context;
use crate::output::parse_yaml;
use anyhow::{Context as _, Result, bail};
use hull_api::{Config, Network, Profile, ProfilesPost, StoragePool, StoragePoolsPost};

/// Configure the daemon: storage, network and the default profile
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Init {
    /// Ask nothing
    #[arg(long, conflicts_with_all = ["preseed", "minimal", "dump"])]
    auto: bool,
    /// Ask nothing, and set up the least that works
    #[arg(long, conflicts_with_all = ["preseed", "dump"])]
    minimal: bool,
    /// Read the configuration as YAML from stdin
    #[arg(long, conflicts_with = "dump")]
    preseed: bool,
    /// Print the present configuration as YAML
    #[arg(long)]
    dump: bool,
    /// Address to listen on, with --auto
    #[arg(long, value_name = "ADDRESS")]
    network_address: Option<String>,
    /// Port to listen on, with --auto
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    network_port: u16,
    /// Driver of the storage pool, with --auto
    #[arg(long, value_name = "DRIVER")]
    storage_backend: Option<String>,
    /// Device for the storage pool, with --auto
    #[arg(long, value_name = "DEVICE")]
    storage_create_device: Option<String>,
    /// Size of a loop file for the storage pool in GiB, with --auto
    #[arg(long, value_name = "SIZE")]
    storage_create_loop: Option<u32>,
    /// Name or source of the storage pool, with --auto
    #[arg(long, value_name = "POOL")]
    storage_pool: Option<String>,
    /// Password for adding clients, with --auto
    #[arg(long, value_name = "PASSWORD")]
    trust_password: Option<String>,
}

impl Init {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let server = cx.server("local")?;
        if self.dump {
            return show(cx, &dump::dump(&server).await?);
        }
        if !self.auto && self.has_answers() {
            bail!("Configuration flags require --auto");
        }
        let preseed = if self.preseed {
            let text = cx.piped()?.context("--preseed reads YAML from stdin, which is a terminal")?;
            parse_yaml(&text).context("Failed to parse the preseed")?
        } else if self.auto || self.minimal {
            self.automatic(&server).await?
        } else {
            questions::ask(cx, &server).await?
        };
        preseed.apply(cx, &server).await
    }

    fn has_answers(&self) -> bool {
        let answers = [
            &self.network_address,
            &self.storage_backend,
            &self.storage_create_device,
            &self.storage_pool,
            &self.trust_password,
        ];
        answers.iter().any(|answer| answer.is_some()) || self.storage_create_loop.is_some()
    }

    /// A pool, a bridge and a profile that uses them, where there are none.
    async fn automatic(&self, server: &Server) -> Result<Preseed> {
        let mut preseed = Preseed::default();
        if let Some(address) = &self.network_address {
            preseed.config.insert("core.https_address".into(), listening(address, self.network_port));
        }
        if let Some(password) = &self.trust_password {
            preseed.config.insert("core.trust_password".into(), password.clone());
        }
        let pools: Vec<StoragePool> = server.get(&(url(&["storage-pools"]) + "?recursion=1")).await?;
        let networks: Vec<Network> = server.get(&(url(&["networks"]) + "?recursion=1")).await?;
        let default: Profile = server.get(&url(&["profiles", "default"])).await?;
        let pool = match pools.first() {
            Some(pool) => pool.name.clone(),
            None => {
                preseed.storage_pools.push(self.pool());
                "default".to_owned()
            }
        };
        let network = match networks.iter().find(|network| network.managed) {
            Some(network) => network.name.clone(),
            None => {
                preseed.networks.push(bridge(BRIDGE));
                BRIDGE.to_owned()
            }
        };
        let mut profile =
            ProfilesPost { name: "default".into(), description: default.description, ..ProfilesPost::default() };
        let has =
            |kind: &str| default.devices.values().any(|device| device.get("type").is_some_and(|found| found == kind));
        if !has("disk") {
            profile.devices.insert("root".into(), root_disk(&pool));
        }
        if !has("nic") {
            profile.devices.insert("eth0".into(), eth0(&network));
        }
        if !profile.devices.is_empty() {
            preseed.profiles.push(profile);
        }
        Ok(preseed)
    }

    fn pool(&self) -> StoragePoolsPost {
        let mut config = Config::new();
        if let Some(device) = self.storage_create_device.as_ref().or(self.storage_pool.as_ref()) {
            config.insert("source".into(), device.clone());
        }
        if let Some(size) = self.storage_create_loop {
            config.insert("size".into(), format!("{size}GiB"));
        }
        let driver = self.storage_backend.clone().unwrap_or_else(|| "dir".to_owned());
        StoragePoolsPost { config, name: "default".into(), driver, ..StoragePoolsPost::default() }
    }
}

pub(super) fn bridge(name: &str) -> PreseedNetwork {
    let auto = ["ipv4.address", "ipv6.address"].map(|key| (key.to_owned(), "auto".to_owned()));
    PreseedNetwork { config: Config::from(auto), name: name.into(), kind: "bridge".into(), ..PreseedNetwork::default() }
}

pub(super) fn root_disk(pool: &str) -> Config {
    [("path", "/"), ("pool", pool), ("type", "disk")].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

pub(super) fn eth0(network: &str) -> Config {
    [("name", "eth0"), ("network", network), ("type", "nic")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// `ADDRESS:PORT`; IPv6 addresses in brackets.
pub(super) fn listening(address: &str, port: u16) -> String {
    let bare = address.trim_matches(['[', ']']);
    if bare.contains(':') { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") }
}

pub(super) const BRIDGE: &str = "hullbr0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_get_their_port() {
        assert_eq!(listening("0.0.0.0", 8443), "0.0.0.0:8443");
        assert_eq!(listening("[::]", 8443), "[::]:8443");
        assert_eq!(listening("::1", 1), "[::1]:1");
    }
}
