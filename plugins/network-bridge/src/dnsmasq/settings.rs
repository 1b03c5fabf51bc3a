//! The text of a network's `dnsmasq.conf`.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::config::{DnsMode, Family, Network};

/// The configuration for `network`, whose files are in `directory`; `None` if it has nothing to serve.
pub(crate) fn settings(network: &Network, directory: &Path, group: Option<&str>) -> Option<String> {
    if network.families().iter().all(|family| family.address.is_none()) {
        return None;
    }
    let mut lines = Lines::default();
    process(&mut lines, network, directory, group);
    names(&mut lines, network);
    if let Some(IpNet::V4(net)) = network.ipv4.address {
        dhcp_ipv4(&mut lines, network, net);
    }
    if let Some(IpNet::V6(net)) = network.ipv6.address {
        dhcp_ipv6(&mut lines, network, net);
    }
    if !network.raw_dnsmasq.is_empty() {
        lines.set("conf-file", directory.join(RAW).display());
    }
    Some(lines.0)
}

fn process(lines: &mut Lines, network: &Network, directory: &Path, group: Option<&str>) {
    lines.set("interface", &network.name);
    for flag in ["bind-interfaces", "strict-order", "no-hosts", "no-ping", "dhcp-authoritative", "dhcp-no-override"] {
        lines.flag(flag);
    }
    for flag in ["dhcp-rapid-commit", "quiet-dhcp", "quiet-dhcp6", "quiet-ra"] {
        lines.flag(flag);
    }
    lines.set("except-interface", "lo");
    lines.set("user", "nobody");
    if let Some(group) = group {
        lines.set("group", group);
    }
    lines.set("dhcp-leasefile", directory.join(LEASES).display());
    lines.set("dhcp-hostsdir", directory.join(HOSTS).display());
}

fn names(lines: &mut Lines, network: &Network) {
    let domain = &network.domain;
    if network.dns_mode != DnsMode::Dynamic {
        lines.flag("dhcp-ignore-names");
    }
    if network.dns_mode != DnsMode::None {
        lines.set("domain", domain);
        lines.set("local", format_args!("/{domain}/"));
        lines.set("interface-name", format_args!("_gateway.{domain},{}", network.name));
    }
    if !network.search.is_empty() {
        let search = network.search.join(",");
        lines.set("dhcp-option-force", format_args!("option:domain-search,{search}"));
        lines.set("dhcp-option", format_args!("option6:domain-search,{search}"));
    }
}

fn dhcp_ipv4(lines: &mut Lines, network: &Network, net: Ipv4Net) {
    let family = &network.ipv4;
    if !family.dhcp {
        return;
    }
    if let Some(gateway) = family.gateway {
        lines.set("dhcp-option-force", format_args!("option:router,{gateway}"));
    }
    if let Some(mtu) = network.mtu {
        lines.set("dhcp-option-force", format_args!("option:mtu,{mtu}"));
    }
    for (first, last) in ranges(family, whole_ipv4(net)) {
        lines.set("dhcp-range", format_args!("{first},{last},{},{}", net.netmask(), family.expiry));
    }
}

fn dhcp_ipv6(lines: &mut Lines, network: &Network, net: Ipv6Net) {
    let family = &network.ipv6;
    lines.flag("enable-ra");
    match (family.dhcp, family.stateful) {
        (true, true) => {
            for (first, last) in ranges(family, whole_ipv6(net)) {
                lines.set("dhcp-range", format_args!("{first},{last},{},{}", net.prefix_len(), family.expiry));
            }
        }
        (true, false) => lines.set("dhcp-range", format_args!("::,constructor:{},ra-stateless,ra-names", network.name)),
        (false, _) => lines.set("dhcp-range", format_args!("::,constructor:{},ra-only", network.name)),
    }
    if !family.routing {
        lines.set("ra-param", format_args!("{},0,0", network.name));
    }
}

/// The ranges the user gave, or the whole subnet less its ends.
fn ranges(family: &Family, whole: Option<(IpAddr, IpAddr)>) -> Vec<(IpAddr, IpAddr)> {
    if family.ranges.is_empty() { whole.into_iter().collect() } else { family.ranges.clone() }
}

/// From the second address of the subnet to the one before the broadcast address.
pub(crate) fn whole_ipv4(net: Ipv4Net) -> Option<(IpAddr, IpAddr)> {
    let first = Ipv4Addr::from(u32::from(net.network()).checked_add(2)?);
    let last = Ipv4Addr::from(u32::from(net.broadcast()).checked_sub(1)?);
    (net.prefix_len() <= 30 && first <= last).then_some((first.into(), last.into()))
}

fn whole_ipv6(net: Ipv6Net) -> Option<(IpAddr, IpAddr)> {
    let first = Ipv6Addr::from(u128::from(net.network()).checked_add(2)?);
    (first <= net.broadcast()).then_some((first.into(), net.broadcast().into()))
}

/// dnsmasq's `key=value` lines. A value that dnsmasq would not read as one plain word is left out with its line: values
/// are checked before they come here, and a missing line is harmless where a broken one is not.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn flag(&mut self, key: &'static str) {
        self.0 += key;
        self.0.push('\n');
    }

    fn set(&mut self, key: &'static str, value: impl Display) {
        let value = value.to_string();
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '#' | '"' | '\\' | '\'');
        if value.chars().all(plain) {
            self.0 += &format!("{key}={value}\n");
        } else {
            tracing::error!(key, value, "a value that dnsmasq could misread was left out");
        }
    }
}

/// Files in a network's directory.
pub(super) const HOSTS: &str = "hosts";
pub(super) const LEASES: &str = "leases";
pub(super) const RAW: &str = "raw.conf";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rendered(pairs: &[(&str, &str)]) -> Option<String> {
        let config = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        settings(&Network::parse("br0", &config).unwrap(), Path::new("/state/networks/br0"), Some("nogroup"))
    }

    #[test]
    fn no_address_no_service() {
        assert_eq!(rendered(&[("ipv4.address", "none")]), None);
    }

    #[test]
    fn the_whole_subnet_is_served_unless_ranges_are_given() {
        let text = rendered(&[("ipv4.address", "10.1.2.1/24")]).unwrap();
        assert!(text.contains("\ndhcp-range=10.1.2.2,10.1.2.254,255.255.255.0,1h\n"), "{text}");
        let text = rendered(&[
            ("ipv4.address", "10.1.2.1/24"),
            ("ipv4.dhcp.ranges", "10.1.2.10-10.1.2.20, 10.1.2.30-10.1.2.40"),
            ("ipv4.dhcp.expiry", "5m"),
            ("ipv4.dhcp.gateway", "10.1.2.9"),
        ]);
        let text = text.unwrap();
        assert!(text.contains("dhcp-range=10.1.2.30,10.1.2.40,255.255.255.0,5m\n"), "{text}");
        assert!(text.contains("dhcp-option-force=option:router,10.1.2.9\n"), "{text}");
        let text = rendered(&[("ipv4.address", "10.1.2.1/24"), ("ipv4.dhcp", "false")]).unwrap();
        assert!(!text.contains("dhcp-range"), "{text}");
    }

    #[test]
    fn ipv6_is_by_advertisement_or_stateful() {
        let text = rendered(&[("ipv6.address", "fd42::1/64")]).unwrap();
        assert!(text.contains("dhcp-range=::,constructor:br0,ra-stateless,ra-names\n"), "{text}");
        let text = rendered(&[("ipv6.address", "fd42::1/64"), ("ipv6.dhcp.stateful", "true")]).unwrap();
        assert!(text.contains("dhcp-range=fd42::2,fd42::ffff:ffff:ffff:ffff,64,1h\n"), "{text}");
    }

    #[test]
    fn names_follow_the_mode() {
        let managed = rendered(&[("ipv4.address", "10.1.2.1/24")]).unwrap();
        assert!(managed.contains("domain=lxd\n") && managed.contains("dhcp-ignore-names\n"), "{managed}");
        let dynamic = rendered(&[("ipv4.address", "10.1.2.1/24"), ("dns.mode", "dynamic")]).unwrap();
        assert!(!dynamic.contains("dhcp-ignore-names"), "{dynamic}");
        let none = rendered(&[("ipv4.address", "10.1.2.1/24"), ("dns.mode", "none")]).unwrap();
        assert!(!none.contains("domain=") && none.contains("dhcp-ignore-names"), "{none}");
    }

    proptest! {
        #[test]
        fn no_value_makes_a_line_of_its_own(value: String) {
            let mut lines = Lines::default();
            lines.set("domain", &value);
            prop_assert!(lines.0.lines().count() <= 1);
            let whole = format!("domain={value}\n");
            prop_assert!(lines.0.is_empty() || lines.0 == whole);
            prop_assert!(!lines.0.contains(['#', '"', '\\']));
        }
    }
}
