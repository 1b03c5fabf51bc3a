//! Looking at networks: state, leases, and the host's other interfaces.

use hull_plugin::network::{InterfaceState, Lease};
use hull_plugin::{Code, DriverError};
use ipnet::IpNet;

use crate::config::{Mac, Network};
use crate::dnsmasq::read_leases;
use crate::driver::Open;
use crate::link::Kind;
use crate::state::NicRecord;

/// An interface as it is now, Hull's or the host's.
pub(crate) async fn state(open: &Open, name: &str) -> Result<InterfaceState, DriverError> {
    let missing = || {
        let code = if open.state.network(name).is_some() { Code::Unavailable } else { Code::NotFound };
        DriverError::new(code, format!("there is no interface `{name}`"))
    };
    let link = open.links.find(name).await?.ok_or_else(missing)?;
    let addresses = open.links.addresses().await?.into_iter();
    let addresses = addresses.filter(|(index, ..)| *index == link.index).map(|(_, _, address)| address).collect();
    let loopback = link.kind == Kind::Loopback;
    Ok(InterfaceState {
        name: link.name,
        hwaddr: link.mac.filter(|_| !loopback).map_or_else(String::new, |mac| mac.to_string()),
        mtu: link.mtu,
        up: link.up,
        kind: if loopback { "loopback" } else { "broadcast" }.into(),
        addresses,
        counters: link.counters,
        host_name: String::new(),
    })
}

/// The gateway's addresses first, then fixed ones, then those dnsmasq gave, then those NICs give themselves.
pub(crate) async fn leases(open: &Open, name: &str) -> Result<Vec<Lease>, DriverError> {
    let missing = || DriverError::not_found(format!("there is no network `{name}`"));
    let record = open.state.network(name).ok_or_else(missing)?;
    let network = Network::parse(name, &record.filled)?;
    let nics = open.state.nics_of(name);

    let mut leases = Vec::new();
    for net in network.families().into_iter().filter_map(|family| family.address) {
        add(&mut leases, &format!("{name}.gw"), None, net.addr(), "gateway");
    }
    for nic in &nics {
        for address in [nic.ipv4, nic.ipv6].into_iter().flatten() {
            add(&mut leases, &nic.host_name, Some(nic.mac), address, "static");
        }
    }
    for lease in read_leases(&open.state.directory(name))? {
        if !leases.iter().any(|known: &Lease| known.address == lease.address) {
            leases.push(lease);
        }
    }
    for nic in &nics {
        if let Some(address) = self_given(&network, nic) {
            add(&mut leases, &nic.host_name, Some(nic.mac), address, "dynamic");
        }
    }
    Ok(leases)
}

/// Without stateful DHCPv6 an instance makes its address of the prefix and its MAC.
fn self_given(network: &Network, nic: &NicRecord) -> Option<std::net::IpAddr> {
    match network.ipv6.address {
        Some(IpNet::V6(net)) if !network.ipv6.stateful && nic.ipv6.is_none() => {
            Some(nic.mac.eui64(net.network()).into())
        }
        _ => None,
    }
}

fn add(leases: &mut Vec<Lease>, hostname: &str, mac: Option<Mac>, address: std::net::IpAddr, kind: &str) {
    let hwaddr = mac.map_or_else(String::new, |mac| mac.to_string());
    leases.push(Lease { hostname: hostname.into(), hwaddr, address: address.to_string(), kind: kind.into() });
}

/// Everything but what this Hull made and the near ends of veths, which are somebody's instances.
pub(crate) async fn host_interfaces(open: &Open) -> Result<Vec<(String, String)>, DriverError> {
    let links = open.links.all().await?.into_iter();
    let foreign = links.filter(|link| link.alias != open.state.mark() && link.kind != Kind::Veth);
    let mut list: Vec<_> = foreign.map(|link| (link.name, link.kind.word().to_owned())).collect();
    list.sort();
    Ok(list)
}
