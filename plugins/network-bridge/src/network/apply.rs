//! Bringing the kernel and dnsmasq to a configuration. Each step looks first and does what is missing.

use hull_plugin::{Code, DriverError};
use sha2::{Digest, Sha256};

use crate::config::{Mac, Network};
use crate::dnsmasq::Memory;
use crate::driver::Open;
use crate::link::{Found, NewBridge};
use crate::{dnsmasq, nic, sysctl};

/// `before` is the configuration in force so far.
pub(super) async fn apply(open: &Open, network: &Network, before: Option<&Network>) -> Result<(), DriverError> {
    let bridge = bridge(open, network).await?;
    quiet_ipv6(network)?;
    external_interfaces(open, network, &bridge, before).await?;
    open.links.set_up(&bridge).await?;
    let addresses: Vec<_> = network.families().into_iter().filter_map(|family| family.address).collect();
    open.links.set_addresses(&bridge, &addresses).await?;
    let routes = network.families().into_iter().filter(|family| family.address.is_some());
    let mut routes: Vec<_> = routes.flat_map(|family| family.routes.clone()).collect();
    routes.extend(nic_routes(open, network));
    open.links.set_routes(&bridge, &routes).await?;
    forwarding(network)?;
    open.firewall.set_network(network).await?;
    let directory = open.state.directory(&network.name);
    match nic::refresh_hosts(open, network)? {
        Memory::Fits => dnsmasq::start(&open.host, network, &directory).await,
        Memory::Stale => dnsmasq::renew(&open.host, network, &directory).await,
    }
}

async fn bridge(open: &Open, network: &Network) -> Result<Found, DriverError> {
    let mac = network.hwaddr.unwrap_or_else(|| own_mac(open.state.tag(), &network.name));
    let mtu = network.mtu.unwrap_or(DEFAULT_MTU);
    let name = network.name.as_str();
    if open.links.find(name).await?.is_none() {
        open.links.add_bridge(&NewBridge { name, mac }).await?;
    }
    let gone = || DriverError::new(Code::Unavailable, format!("bridge `{name}` vanished while it was being made"));
    let bridge = open.links.find(name).await?.ok_or_else(gone)?;
    if bridge.alias != open.state.mark() {
        open.links.mark(&bridge, &open.state.mark()).await?;
    }
    if bridge.mac != Some(mac) {
        open.links.set_mac(&bridge, mac).await?;
    }
    if bridge.mtu != mtu {
        open.links.set_mtu(&bridge, mtu).await?;
    }
    Ok(bridge)
}

/// A bridge's MAC must not change with its ports, nor with a reboot.
fn own_mac(tag: &str, network: &str) -> Mac {
    let hash = Sha256::digest(format!("{tag}/{network}"));
    Mac([0x00, 0x16, 0x3e, hash[0], hash[1], hash[2]])
}

/// The bridge believes no instance's router advertisements, and without IPv6 it has none at all.
fn quiet_ipv6(network: &Network) -> Result<(), DriverError> {
    let off = if network.ipv6.address.is_some() { "0" } else { "1" };
    for (key, value) in [("disable_ipv6", off), ("autoconf", "0"), ("accept_ra", "0"), ("accept_dad", "0")] {
        sysctl::set_ipv6(&network.name, key, value)?;
    }
    Ok(())
}

fn forwarding(network: &Network) -> Result<(), DriverError> {
    let routed = |family: &&crate::config::Family| family.address.is_some() && family.routing;
    if Some(&network.ipv4).filter(routed).is_some() {
        sysctl::set("ipv4/ip_forward", "1")?;
    }
    if Some(&network.ipv6).filter(routed).is_some() {
        sysctl::forward_ipv6()?;
    }
    Ok(())
}

/// Puts the interfaces the user named into the bridge and releases those no longer named.
async fn external_interfaces(
    open: &Open,
    network: &Network,
    bridge: &Found,
    before: Option<&Network>,
) -> Result<(), DriverError> {
    let key = "bridge.external_interfaces";
    for name in &network.external_interfaces {
        let missing = || DriverError::invalid(key, format!("External interface {name:?} not found"));
        let link = open.links.find(name).await?.ok_or_else(missing)?;
        if link.controller == Some(bridge.index) {
            continue;
        }
        let addresses = open.links.addresses().await?;
        let configured = addresses.iter().any(|(index, _, address)| *index == link.index && address.scope == "global");
        if configured || link.controller.is_some() {
            let message =
                format!("Only unconfigured network interfaces can be bridged, and {name:?} has addresses or a bridge");
            return Err(DriverError::invalid(key, message));
        }
        open.links.set_controller(&link, bridge.index).await?;
    }
    for name in before.iter().flat_map(|before| &before.external_interfaces) {
        if network.external_interfaces.contains(name) {
            continue;
        }
        if let Some(link) = open.links.find(name).await?.filter(|link| link.controller == Some(bridge.index)) {
            open.links.set_controller(&link, 0).await?;
        }
    }
    Ok(())
}

fn nic_routes(open: &Open, network: &Network) -> Vec<ipnet::IpNet> {
    open.state.nics_of(&network.name).into_iter().flat_map(|nic| nic.routes).collect()
}

const DEFAULT_MTU: u32 = 1500;
