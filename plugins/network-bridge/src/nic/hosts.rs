//! Telling dnsmasq about a network's NICs.

use hull_plugin::DriverError;

use crate::config::{DnsMode, Network};
use crate::dnsmasq::host_line;
use crate::driver::Open;
use crate::state::NicRecord;

/// Rewrites what has changed; for a network whose settings change.
pub(crate) fn refresh_hosts(open: &Open, network: &Network) -> Result<(), DriverError> {
    open.state.nics_of(&network.name).iter().try_for_each(|record| set_host(open, network, record))
}

pub(super) fn set_host(open: &Open, network: &Network, record: &NicRecord) -> Result<(), DriverError> {
    let name = record.dns_name.as_deref().filter(|_| network.dns_mode == DnsMode::Managed);
    let ipv4 = record.ipv4.filter(|_| network.ipv4.dhcp);
    let ipv6 = record.ipv6.filter(|_| network.ipv6.dhcp && network.ipv6.stateful);
    open.state.set_host(record, host_line(record.mac, ipv4, ipv6, name))
}
