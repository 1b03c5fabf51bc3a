//! The keys this driver accepts. A key that is not here is refused; each of these has an effect.

use hull_plugin::{ConfigKey, ValueKind};

/// Keys of a network.
pub(crate) fn network_keys() -> Vec<ConfigKey> {
    let mut keys = vec![
        key("bridge.mtu", ValueKind::Integer, "1500", "MTU of the bridge"),
        key("bridge.hwaddr", ValueKind::Text, "", "MAC address of the bridge; chosen by Hull if not set"),
        key(
            "bridge.external_interfaces",
            ValueKind::Text,
            "",
            "Comma-delimited unconfigured host interfaces to put into the bridge",
        ),
        key(
            "dns.mode",
            choice(&["managed", "dynamic", "none"]),
            "managed",
            "Whose names DNS knows: the instances', those DHCP clients give, or nobody's",
        ),
        key("dns.domain", ValueKind::Text, "lxd", "Domain of the instances' names"),
        key("dns.search", ValueKind::Text, "", "Comma-delimited search domains for DHCP clients"),
        key("raw.dnsmasq", ValueKind::Text, "", "Lines appended to dnsmasq's configuration"),
        key("user.*", ValueKind::Text, "", "Anything the user wants to note"),
    ];
    for (version, words) in [("ipv4", "IPv4"), ("ipv6", "IPv6")] {
        keys.extend(family_keys(version, words));
    }
    keys.push(key("ipv6.dhcp.stateful", ValueKind::Boolean, "false", "Whether DHCPv6 gives addresses"));
    keys
}

/// Keys of a NIC, beside those that every NIC has (`name`, `network`, `hwaddr`, `mtu`).
pub(crate) fn nic_keys() -> Vec<ConfigKey> {
    vec![
        key("nictype", choice(&["bridged"]), "bridged", "How the NIC is connected"),
        key("network", ValueKind::Text, "", "Managed network the NIC is in"),
        key("parent", ValueKind::Text, "", "Host bridge the NIC is in, if it is no managed network's"),
        key("name", ValueKind::Text, "", "Interface name inside the instance"),
        key("host_name", ValueKind::Text, "", "Interface name of the host's end; random if not set"),
        key("hwaddr", ValueKind::Text, "", "MAC address; chosen by Hull if not set"),
        key("mtu", ValueKind::Integer, "", "MTU; the parent's if not set"),
        key("queue.tx.length", ValueKind::Integer, "", "Transmit queue length, both ends"),
        key(
            "ipv4.address",
            ValueKind::Text,
            "",
            "IPv4 address that DHCP gives to the NIC, or `none` to filter all IPv4",
        ),
        key(
            "ipv6.address",
            ValueKind::Text,
            "",
            "IPv6 address that DHCP gives to the NIC, or `none` to filter all IPv6",
        ),
        key("ipv4.routes", ValueKind::Text, "", "Comma-delimited IPv4 subnets the host routes to the NIC"),
        key("ipv6.routes", ValueKind::Text, "", "Comma-delimited IPv6 subnets the host routes to the NIC"),
        key("limits.ingress", ValueKind::Text, "", "Limit of incoming traffic in bits per second, as `10Mbit`"),
        key("limits.egress", ValueKind::Text, "", "Limit of outgoing traffic in bits per second, as `10Mbit`"),
        key("limits.max", ValueKind::Text, "", "Limit of traffic in either direction; instead of the other two"),
        key("security.mac_filtering", ValueKind::Boolean, "false", "Drop frames with a foreign MAC address"),
        key("security.ipv4_filtering", ValueKind::Boolean, "false", "Drop packets with a foreign IPv4 address"),
        key("security.ipv6_filtering", ValueKind::Boolean, "false", "Drop packets with a foreign IPv6 address"),
        key("security.port_isolation", ValueKind::Boolean, "false", "No traffic to other NICs with this key"),
    ]
}

fn family_keys(version: &str, words: &str) -> Vec<ConfigKey> {
    let key = |rest: &str, kind, default: &str, doc: String| {
        ConfigKey::new(&format!("{version}.{rest}"), kind, default, &doc)
    };
    let words_of = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
    vec![
        key(
            "address",
            ValueKind::Cidr(words_of(&["auto", "none"])),
            "",
            format!("{words} address of the bridge with its prefix length; `auto` at creation if not set"),
        ),
        key(
            "nat",
            ValueKind::Boolean,
            "false",
            format!(
                "Whether {words} traffic leaves under the host's address; `true` if the address was `auto` at creation"
            ),
        ),
        key(
            "nat.address",
            ValueKind::Text,
            "",
            format!("The {words} address that leaving traffic gets, instead of the outgoing interface's"),
        ),
        key(
            "nat.order",
            choice(&["before", "after"]),
            "before",
            "Where the NAT rule stands among the host's".to_string(),
        ),
        key("dhcp", ValueKind::Boolean, "true", format!("Whether to serve DHCP for {words}")),
        key(
            "dhcp.ranges",
            ValueKind::Text,
            "",
            format!("Comma-delimited {words} ranges FIRST-LAST for DHCP; the whole subnet if not set"),
        ),
        key("dhcp.expiry", ValueKind::Text, "1h", "How long a lease lasts".to_string()),
        key(
            "dhcp.gateway",
            ValueKind::Text,
            "",
            format!("The {words} gateway told to DHCP clients; the bridge if not set"),
        ),
        key(
            "routing",
            ValueKind::Boolean,
            "true",
            format!("Whether {words} traffic may leave and enter the bridge's subnet"),
        ),
        key("firewall", ValueKind::Boolean, "true", format!("Whether to make {words} filter rules")),
        key(
            "routes",
            ValueKind::Text,
            "",
            format!("Comma-delimited further {words} subnets the host routes to the bridge"),
        ),
    ]
    .into_iter()
    .filter(|key| key.name != "ipv6.dhcp.gateway") // router advertisements name their sender
    .collect()
}

fn key(name: &str, kind: ValueKind, default: &str, doc: &str) -> ConfigKey {
    ConfigKey::new(name, kind, default, doc)
}

fn choice(words: &[&str]) -> ValueKind {
    ValueKind::Choice(words.iter().map(|word| (*word).to_owned()).collect())
}
