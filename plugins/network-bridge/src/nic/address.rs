//! Which addresses a NIC may use: those the user fixed, or, where they are filtered, some that it is given.

use std::net::{IpAddr, Ipv4Addr};

use hull_plugin::{Code, DriverError};
use ipnet::IpNet;

use crate::config::{Family, Network, Nic, Version, Wish};
use crate::dnsmasq::{read_leases, whole_ipv4};
use crate::driver::Open;

/// A NIC's fixed addresses.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fixed {
    pub(super) ipv4: Option<IpAddr>,
    pub(super) ipv6: Option<IpAddr>,
}

/// `network` is `None` for a bridge of the host's, where only the user can say which address is right.
pub(super) fn choose(open: &Open, nic: &Nic, network: Option<&Network>, object: &str) -> Result<Fixed, DriverError> {
    let mut fixed = Fixed { ipv4: nic.ipv4.fixed(), ipv6: nic.ipv6.fixed() };
    if nic.ipv4_filtering && nic.ipv4 == Wish::Any {
        fixed.ipv4 = match network {
            Some(network) => free_ipv4(open, nic, network, object)?,
            None => return Err(unmanaged(Version::Four)),
        };
    }
    if nic.ipv6_filtering && nic.ipv6 == Wish::Any {
        fixed.ipv6 = match network.map(|network| network.ipv6.address) {
            Some(Some(IpNet::V6(net))) => Some(nic.mac.eui64(net.network()).into()),
            Some(_) => None,
            None => return Err(unmanaged(Version::Six)),
        };
    }
    refuse_taken(open, nic, fixed, object)?;
    Ok(fixed)
}

/// The nets a filtered NIC may send from.
pub(super) fn allowed(nic: &Nic, version: Version, fixed: Option<IpAddr>) -> Vec<IpNet> {
    let own = fixed.map(IpNet::from);
    let routed = nic.routes.iter().copied().filter(|net| Version::of(net.addr()) == version);
    own.into_iter().chain(routed).collect()
}

/// The address its lease has, or else a free one of the ranges, the same for the same MAC if it can be.
fn free_ipv4(open: &Open, nic: &Nic, network: &Network, object: &str) -> Result<Option<IpAddr>, DriverError> {
    let family = &network.ipv4;
    if !family.dhcp || family.address.is_none() {
        return Ok(None);
    }
    let leases = read_leases(&open.state.directory(&network.name))?;
    let mac = nic.mac.to_string();
    let mut taken: Vec<IpAddr> = family.address.iter().map(|net| net.addr()).chain(family.gateway).collect();
    taken.extend(
        leases.iter().filter(|lease| lease.hwaddr != mac).filter_map(|lease| lease.address.parse::<IpAddr>().ok()),
    );
    taken.extend(
        open.state
            .nics_of(&network.name)
            .iter()
            .filter(|other| other.object() != object)
            .filter_map(|other| other.ipv4),
    );
    let leased =
        leases.iter().filter(|lease| lease.hwaddr == mac).filter_map(|lease| lease.address.parse::<IpAddr>().ok());
    let leased = leased.filter(IpAddr::is_ipv4).find(|address| !taken.contains(address));
    match leased.or_else(|| from_ranges(family, nic.mac.0, &taken)) {
        Some(address) => Ok(Some(address)),
        None => Err(DriverError::new(
            Code::NoSpace,
            format!("network `{}` has no free IPv4 address for filtering", network.name),
        )
        .hint("widen ipv4.dhcp.ranges or set ipv4.address of the NIC")),
    }
}

fn from_ranges(family: &Family, mac: [u8; 6], taken: &[IpAddr]) -> Option<IpAddr> {
    let whole = match family.address {
        Some(IpNet::V4(net)) => whole_ipv4(net),
        _ => None,
    };
    let ranges = if family.ranges.is_empty() { whole.into_iter().collect() } else { family.ranges.clone() };
    let seed = mac.iter().fold(0u32, |seed, octet| seed.wrapping_mul(31).wrapping_add(u32::from(*octet)));
    for range in ranges {
        let (IpAddr::V4(first), IpAddr::V4(last)) = range else { continue };
        let (first, count) = (u32::from(first), u64::from(u32::from(last) - u32::from(first)) + 1);
        let tries = count.min(taken.len() as u64 + 1);
        let candidate =
            |step: u64| Ipv4Addr::from(first + u32::try_from((u64::from(seed) + step) % count).unwrap_or(0));
        if let Some(address) =
            (0..tries).map(|step| IpAddr::V4(candidate(step))).find(|address| !taken.contains(address))
        {
            return Some(address);
        }
    }
    None
}

fn refuse_taken(open: &Open, nic: &Nic, fixed: Fixed, object: &str) -> Result<(), DriverError> {
    let crate::config::Parent::Managed(network) = &nic.parent else { return Ok(()) };
    for other in open.state.nics_of(network).iter().filter(|other| other.object() != object) {
        for (key, mine, theirs) in [("ipv4.address", fixed.ipv4, other.ipv4), ("ipv6.address", fixed.ipv6, other.ipv6)]
        {
            if let Some(address) = mine.filter(|_| mine == theirs) {
                let of = format!("NIC {:?} of instance {:?}", other.device, other.instance);
                return Err(DriverError::invalid(
                    key,
                    format!("IP address {:?} already defined on {of}", address.to_string()),
                ));
            }
        }
    }
    Ok(())
}

fn unmanaged(version: Version) -> DriverError {
    let (key, word) = match version {
        Version::Four => ("ipv4.address", "IPv4"),
        Version::Six => ("ipv6.address", "IPv6"),
    };
    let message = format!("{word} filtering requires a manually specified {key} when using an unmanaged parent bridge");
    DriverError::invalid(key, message)
}
