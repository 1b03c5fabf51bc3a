//! A network and a NIC in it from words to dnsmasq's and nft's files, without a kernel: for the fuzz targets.

use std::path::Path;

use hull_plugin::ConfigMap;
use hull_plugin::network::NicSpec;
use ipnet::IpNet;

use crate::config::{DnsMode, Network, Nic, Order, Version, Wish};
use crate::dnsmasq::{host_line, settings};
use crate::firewall::{Guard, rules};

/// What would be written.
#[derive(Debug)]
pub struct Written {
    /// `dnsmasq.conf`; `None`: nothing is served.
    pub settings: Option<String>,
    /// The NIC's line in dnsmasq's directory of hosts.
    pub host: Option<String>,
    /// For `nft -f`.
    pub scripts: Vec<String>,
}

/// What is written for a network; `None`: its configuration is refused.
///
/// # Panics
/// Its values written out and read again are others.
pub fn network(name: &str, config: &ConfigMap) -> Option<Written> {
    let network = Network::parse(name, config).ok()?;
    let again = Network::parse(name, &spelt(&network)).expect("what was accepted is accepted as it is written");
    assert_eq!(again, network, "written and read again");
    Some(Written {
        settings: settings::settings(&network, Path::new("/state/networks/x"), Some("nogroup")),
        host: None,
        scripts: vec![rules::network(&format!("hull-t-{name}"), &network).text().to_owned()],
    })
}

/// What is written for a NIC; `None`: its configuration is refused.
pub fn nic(spec: &NicSpec) -> Option<Written> {
    let nic = Nic::parse(spec).ok()?;
    let allowed = |wish: Wish, version: Version| -> Vec<IpNet> {
        let routed = nic.routes.iter().copied().filter(|net| Version::of(net.addr()) == version);
        wish.fixed().map(IpNet::from).into_iter().chain(routed).collect()
    };
    let guard = Guard {
        interface: nic.host_interface.clone().unwrap_or_else(|| "veth0".into()),
        mac: nic.mac,
        ipv4: nic.ipv4_filtering.then(|| allowed(nic.ipv4, Version::Four)),
        ipv6: nic.ipv6_filtering.then(|| allowed(nic.ipv6, Version::Six)),
    };
    let host = host_line(nic.mac, nic.ipv4.fixed(), nic.ipv6.fixed(), nic.dns_name.as_deref());
    Some(Written { settings: None, host, scripts: vec![rules::guard("hull-t", &guard).text().to_owned()] })
}

/// A network's values as text, those that have more than one spelling.
fn spelt(network: &Network) -> ConfigMap {
    let mut config = ConfigMap::new();
    let mut set = |key: String, value: String| drop(config.insert(key, value));
    let list = |items: Vec<String>| items.join(",");
    for family in network.families() {
        let key = |rest: &str| format!("{}.{rest}", family.version.prefix());
        set(key("address"), family.address.map_or_else(|| "none".into(), |net| net.to_string()));
        let ranges = family.ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        set(key("dhcp.ranges"), list(ranges));
        set(key("routes"), list(family.routes.iter().map(ToString::to_string).collect()));
        set(key("dhcp.expiry"), family.expiry.clone());
        for (rest, address) in [("nat.address", family.nat_address), ("dhcp.gateway", family.gateway)] {
            if let Some(address) = address {
                set(key(rest), address.to_string());
            }
        }
        for (rest, on) in
            [("nat", family.nat), ("dhcp", family.dhcp), ("routing", family.routing), ("firewall", family.firewall)]
        {
            set(key(rest), on.to_string());
        }
        let order = if family.nat_order == Order::Before { "before" } else { "after" };
        set(key("nat.order"), order.into());
    }
    set("ipv6.dhcp.stateful".into(), network.ipv6.stateful.to_string());
    let mode = match network.dns_mode {
        DnsMode::Managed => "managed",
        DnsMode::Dynamic => "dynamic",
        DnsMode::None => "none",
    };
    set("dns.mode".into(), mode.into());
    set("dns.domain".into(), network.domain.clone());
    set("dns.search".into(), list(network.search.clone()));
    set("bridge.external_interfaces".into(), list(network.external_interfaces.clone()));
    set("bridge.mtu".into(), network.mtu.map(|mtu| mtu.to_string()).unwrap_or_default());
    set("bridge.hwaddr".into(), network.hwaddr.map(|mac| mac.to_string()).unwrap_or_default());
    set("raw.dnsmasq".into(), network.raw_dnsmasq.clone());
    config
}
