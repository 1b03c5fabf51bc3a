//! What the tables say.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::script::{Name, Quoted, Script};
use crate::config::{Family, Mac, Network, Order};

/// What a NIC may send, as the bridge sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Guard {
    /// The host's end.
    pub(crate) interface: String,
    pub(crate) mac: Mac,
    /// `None`: not filtered. Empty: nothing passes.
    pub(crate) ipv4: Option<Vec<IpNet>>,
    pub(crate) ipv6: Option<Vec<IpNet>>,
}

/// Replaces a network's table as a whole.
pub(crate) fn network(table: &str, network: &Network) -> Script {
    let mut script = remove_table("inet", table);
    let families = || network.families().into_iter().filter(|family| family.address.is_some());
    script.line(format_args!("table inet {} {{", Name(table)));
    postrouting(&mut script, families());
    if families().any(|family| family.firewall) {
        forward(&mut script, &network.name, families().filter(|family| family.firewall));
        services(&mut script, &network.name, families().filter(|family| family.firewall));
    }
    script.line(format_args!("}}"));
    script
}

/// Removes a table, there or not.
pub(super) fn remove_table(family: &'static str, table: &str) -> Script {
    let mut script = Script::default();
    script.line(format_args!("table {family} {} {{}}", Name(table)));
    script.line(format_args!("delete table {family} {}", Name(table)));
    script
}

/// Makes the NICs' table if it is missing.
fn guards_table(script: &mut Script, table: &str) {
    script.line(format_args!("table bridge {} {{", Name(table)));
    script.line(format_args!("map nics {{ type ifname : verdict; }}"));
    for hook in ["input", "forward"] {
        script.line(format_args!("chain {hook} {{ type filter hook {hook} priority filter; policy accept; }}"));
    }
    script.line(format_args!("}}"));
    for hook in ["input", "forward"] {
        script.line(format_args!("flush chain bridge {} {hook}", Name(table)));
        script.line(format_args!("add rule bridge {} {hook} iifname vmap @nics", Name(table)));
    }
}

/// Puts a NIC under guard, in place of an earlier one on the same interface.
pub(crate) fn guard(table: &str, guard: &Guard) -> Script {
    let mut script = unguard(table, &guard.interface);
    let chain = chain_of(&guard.interface);
    script.line(format_args!("table bridge {} {{", Name(table)));
    script.line(format_args!("chain {} {{", Name(&chain)));
    let mac = guard.mac;
    script.line(format_args!("ether saddr != {mac} drop"));
    script.line(format_args!("arp saddr ether != {mac} drop"));
    if let Some(allowed) = &guard.ipv4 {
        script.line(format_args!("ether type {{ 8021q, 8021ad }} drop"));
        guard_ipv4(&mut script, allowed);
    }
    if let Some(allowed) = &guard.ipv6 {
        script.line(format_args!("ether type {{ 8021q, 8021ad }} drop"));
        guard_ipv6(&mut script, mac, allowed);
    }
    if guard.ipv4.is_some() && guard.ipv6.is_some() {
        script.line(format_args!("ether type != {{ ip, ip6, arp }} drop"));
    }
    script.line(format_args!("}}"));
    script.line(format_args!("}}"));
    let interface = Quoted(&guard.interface);
    script.line(format_args!("add element bridge {} nics {{ {interface} : jump {} }}", Name(table), Name(&chain)));
    script
}

/// Forgets a NIC, guarded or not.
pub(super) fn unguard(table: &str, interface: &str) -> Script {
    let mut script = Script::default();
    guards_table(&mut script, table);
    let chain = chain_of(interface);
    let element = format!("{{ {} : jump {} }}", Quoted(interface), Name(&chain));
    script.line(format_args!("add chain bridge {} {}", Name(table), Name(&chain)));
    script.line(format_args!("add element bridge {} nics {element}", Name(table)));
    script.line(format_args!("delete element bridge {} nics {element}", Name(table)));
    script.line(format_args!("flush chain bridge {} {}", Name(table), Name(&chain)));
    script.line(format_args!("delete chain bridge {} {}", Name(table), Name(&chain)));
    script
}

fn chain_of(interface: &str) -> String {
    format!("nic-{interface}")
}

fn postrouting<'a>(script: &mut Script, families: impl Iterator<Item = &'a Family>) {
    for family in families.filter(|family| family.nat) {
        let Some(subnet) = family.address.map(|net| net.trunc()) else { continue };
        let (word, place) = (
            word(subnet),
            match family.nat_order {
                Order::Before => "- 1",
                Order::After => "+ 1",
            },
        );
        script.line(format_args!("chain postrouting-{word} {{"));
        script.line(format_args!("type nat hook postrouting priority srcnat {place}; policy accept;"));
        match family.nat_address {
            Some(address) => {
                script.line(format_args!("{word} saddr {subnet} {word} daddr != {subnet} snat {word} to {address}"))
            }
            None => script.line(format_args!("{word} saddr {subnet} {word} daddr != {subnet} masquerade")),
        }
        script.line(format_args!("}}"));
    }
}

/// An accept here does not overrule a drop in somebody else's table: nftables has no such thing.
fn forward<'a>(script: &mut Script, bridge: &str, families: impl Iterator<Item = &'a Family>) {
    script.line(format_args!("chain forward {{"));
    script.line(format_args!("type filter hook forward priority filter; policy accept;"));
    for family in families {
        let protocol = family.version.prefix();
        let verdict = if family.routing { "accept" } else { "reject" };
        let bridge = Quoted(bridge);
        if !family.routing {
            // Within the bridge (br_netfilter sends such packets here too) nothing is routed.
            script.line(format_args!("meta nfproto {protocol} iifname {bridge} oifname {bridge} accept"));
        }
        script.line(format_args!("meta nfproto {protocol} oifname {bridge} {verdict}"));
        script.line(format_args!("meta nfproto {protocol} iifname {bridge} {verdict}"));
    }
    script.line(format_args!("}}"));
}

/// Instances reach the bridge's DHCP and DNS.
fn services<'a>(script: &mut Script, bridge: &str, families: impl Iterator<Item = &'a Family>) {
    let bridge = Quoted(bridge);
    let (mut incoming, mut outgoing) = (String::new(), String::new());
    for family in families {
        let protocol = family.version.prefix();
        let dhcp = if protocol == "ipv4" { 67 } else { 547 };
        let icmp = match protocol {
            "ipv4" => {
                "ip protocol icmp icmp type { echo-request, destination-unreachable, time-exceeded, parameter-problem } accept"
            }
            _ => {
                "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-request, nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept"
            }
        };
        for (chain, interface, port) in [(&mut incoming, "iifname", "dport"), (&mut outgoing, "oifname", "sport")] {
            let of = format!("meta nfproto {protocol} {interface} {bridge}");
            *chain += &format!("{of} tcp {port} 53 accept\n{of} udp {port} {{ 53, {dhcp} }} accept\n");
        }
        incoming += &format!("iifname {bridge} {icmp}\n");
    }
    for (hook, rules) in [("input", incoming), ("output", outgoing)] {
        script
            .line(format_args!("chain {hook} {{\ntype filter hook {hook} priority filter; policy accept;\n{rules}}}"));
    }
}

fn guard_ipv4(script: &mut Script, allowed: &[IpNet]) {
    if allowed.is_empty() {
        script.line(format_args!("ether type {{ arp, ip }} drop"));
        return;
    }
    let list = list(allowed);
    script.line(format_args!("arp saddr ip != {{ 0.0.0.0, {list} }} drop"));
    script.line(format_args!("ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp dport 67 accept"));
    script.line(format_args!("ip saddr != {{ {list} }} drop"));
}

fn guard_ipv6(script: &mut Script, mac: Mac, allowed: &[IpNet]) {
    if allowed.is_empty() {
        script.line(format_args!("ether type ip6 drop"));
        return;
    }
    let link_local = mac.eui64(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0));
    let single = allowed.iter().filter(|net| net.prefix_len() == 128).map(|net| net.addr());
    let targets = single.chain([IpAddr::V6(link_local)]).filter_map(|address| match address {
        IpAddr::V6(address) => Some(format!("@nh,384,128 != 0x{:032x}", address.to_bits())),
        IpAddr::V4(_) => None,
    });
    let targets = targets.collect::<Vec<_>>().join(" ");
    script.line(format_args!("icmpv6 type {{ nd-router-advert, nd-redirect }} drop"));
    script.line(format_args!("icmpv6 type nd-neighbor-advert {targets} drop"));
    script.line(format_args!("ip6 saddr fe80::/10 ip6 daddr ff02::1:2 udp dport 547 accept"));
    script.line(format_args!("ip6 saddr fe80::/10 ip6 daddr ff02::2 icmpv6 type nd-router-solicit accept"));
    script.line(format_args!("ip6 saddr :: icmpv6 type {{ nd-neighbor-solicit, mld2-listener-report }} accept"));
    script.line(format_args!("ip6 saddr != {{ {link_local}, {} }} drop", list(allowed)));
}

fn list(nets: &[IpNet]) -> String {
    nets.iter().map(|net| net.trunc().to_string()).collect::<Vec<_>>().join(", ")
}

fn word(net: IpNet) -> &'static str {
    if net.addr().is_ipv4() { "ip" } else { "ip6" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(pairs: &[(&str, &str)]) -> String {
        let config = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        network("hull-t-br0", &Network::parse("br0", &config).unwrap()).text().to_owned()
    }

    #[test]
    fn nat_is_for_what_leaves_the_subnet() {
        let text = rendered(&[("ipv4.address", "10.1.2.1/24"), ("ipv4.nat", "true"), ("ipv6.address", "fd42::1/64")]);
        assert!(text.contains("ip saddr 10.1.2.0/24 ip daddr != 10.1.2.0/24 masquerade"), "{text}");
        assert!(!text.contains("ip6 saddr"), "{text}");
        assert!(text.contains("priority srcnat - 1"), "{text}");
        let text = rendered(&[
            ("ipv4.address", "10.1.2.1/24"),
            ("ipv4.nat", "true"),
            ("ipv4.nat.address", "192.0.2.9"),
            ("ipv4.nat.order", "after"),
        ]);
        assert!(text.contains("snat ip to 192.0.2.9") && text.contains("priority srcnat + 1"), "{text}");
    }

    #[test]
    fn routing_and_firewall_can_be_switched_off() {
        let text = rendered(&[("ipv4.address", "10.1.2.1/24"), ("ipv4.routing", "false")]);
        assert!(text.contains("meta nfproto ipv4 iifname \"br0\" reject"), "{text}");
        let text = rendered(&[("ipv4.address", "10.1.2.1/24"), ("ipv4.firewall", "false"), ("ipv4.nat", "true")]);
        assert!(!text.contains("forward") && text.contains("masquerade"), "{text}");
    }

    #[test]
    fn a_guard_without_addresses_lets_nothing_pass() {
        let mac = "00:16:3e:00:00:01".parse().unwrap();
        let closed = Guard { interface: "veth1".into(), mac, ipv4: Some(vec![]), ipv6: Some(vec![]) };
        let text = guard("hull-t", &closed).text().to_owned();
        assert!(text.contains("ether type { arp, ip } drop") && text.contains("ether type ip6 drop"), "{text}");
        assert!(!text.contains("dport 67"), "{text}");
    }
}
