//! Telling dnsmasq about a network's NICs.

use hull_plugin::DriverError;

use crate::config::{DnsMode, Network};
use crate::dnsmasq::{self, Memory, host_line};
use crate::driver::Open;
use crate::state::NicRecord;

/// Rewrites what has changed; for a network whose settings change, before its dnsmasq is started.
pub(crate) fn refresh_hosts(open: &Open, network: &Network) -> Result<Memory, DriverError> {
    let mut memory = Memory::Fits;
    for record in open.state.nics_of(&network.name) {
        if set(open, network, &record)? == Memory::Stale {
            memory = Memory::Stale;
        }
    }
    Ok(memory)
}

/// Tells a running network's dnsmasq about a NIC.
pub(super) async fn set_host(open: &Open, network: &Network, record: &NicRecord) -> Result<(), DriverError> {
    match set(open, network, record)? {
        Memory::Fits => Ok(()),
        Memory::Stale => {
            let _one_at_a_time = open.networks.lock().await;
            dnsmasq::renew(&open.host, network, &open.state.directory(&network.name)).await
        }
    }
}

/// dnsmasq remembers until a later NIC contradicts: taking a line back costs nothing.
pub(super) fn forget_host(open: &Open, record: &NicRecord) -> Result<(), DriverError> {
    let Some(network) = &record.network else { return Ok(()) };
    dnsmasq::set_host(&open.state.directory(network), &record.key(), None).map(|_| ())
}

fn set(open: &Open, network: &Network, record: &NicRecord) -> Result<Memory, DriverError> {
    let name = record.dns_name.as_deref().filter(|_| network.dns_mode == DnsMode::Managed);
    let ipv4 = record.ipv4.filter(|_| network.ipv4.dhcp);
    let ipv6 = record.ipv6.filter(|_| network.ipv6.dhcp && network.ipv6.stateful);
    let line = host_line(record.mac, ipv4, ipv6, name);
    dnsmasq::set_host(&open.state.directory(&network.name), &record.key(), line.as_deref())
}
