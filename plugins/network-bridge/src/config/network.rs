//! A network's configuration as types.

use std::net::IpAddr;

use hull_plugin::{ConfigMap, DriverError};
use ipnet::IpNet;

use super::schema::network_keys;
use super::value::{self, Checked, Mac, Version};

/// A managed bridge, every value checked. `auto` is not a value here: [`super::fill`] has replaced it, or a check
/// beforehand treats it as not set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Network {
    /// Also the bridge's interface name.
    pub(crate) name: String,
    pub(crate) mtu: Option<u32>,
    pub(crate) hwaddr: Option<Mac>,
    pub(crate) external_interfaces: Vec<String>,
    pub(crate) ipv4: Family,
    pub(crate) ipv6: Family,
    pub(crate) dns_mode: DnsMode,
    pub(crate) domain: String,
    pub(crate) search: Vec<String>,
    pub(crate) raw_dnsmasq: String,
}

/// What a network does in one address family.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Family {
    pub(crate) version: Version,
    /// The bridge's own address; `None`: the family is off.
    pub(crate) address: Option<IpNet>,
    pub(crate) nat: bool,
    pub(crate) nat_address: Option<IpAddr>,
    pub(crate) nat_order: Order,
    pub(crate) dhcp: bool,
    /// IPv6 only: addresses by DHCP rather than by the instances themselves.
    pub(crate) stateful: bool,
    pub(crate) ranges: Vec<(IpAddr, IpAddr)>,
    pub(crate) expiry: String,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) routing: bool,
    pub(crate) firewall: bool,
    pub(crate) routes: Vec<IpNet>,
}

/// Where Hull's NAT rule stands among the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Before,
    After,
}

/// Whose names DNS knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DnsMode {
    /// The instances', as Hull knows them.
    Managed,
    /// Those that DHCP clients give.
    Dynamic,
    None,
}

impl Network {
    pub(crate) fn parse(name: &str, config: &ConfigMap) -> Result<Self, DriverError> {
        let reader = Reader { name, config };
        let interface = value::interface_name(name);
        let interface =
            interface.map_err(|why| DriverError::invalid("name", format!("Invalid network name {name:?}: {why}")))?;
        reader.refuse_unknown()?;
        let dns_mode = reader.choice(
            "dns.mode",
            &[("managed", DnsMode::Managed), ("dynamic", DnsMode::Dynamic), ("none", DnsMode::None)],
        )?;
        let network = Self {
            name: interface,
            mtu: reader.optional("bridge.mtu", value::mtu)?,
            hwaddr: reader.optional("bridge.hwaddr", str::parse)?,
            external_interfaces: reader.list("bridge.external_interfaces", value::interface_name)?,
            ipv4: reader.family(Version::Four)?,
            ipv6: reader.family(Version::Six)?,
            dns_mode,
            domain: reader.optional("dns.domain", value::domain)?.unwrap_or_else(|| "lxd".into()),
            search: reader.list("dns.search", value::domain)?,
            raw_dnsmasq: reader.optional("raw.dnsmasq", raw)?.unwrap_or_default(),
        };
        network.check(&reader)?;
        Ok(network)
    }

    pub(crate) fn families(&self) -> [&Family; 2] {
        [&self.ipv4, &self.ipv6]
    }

    /// Rules that span keys.
    fn check(&self, reader: &Reader<'_>) -> Result<(), DriverError> {
        if let Some(IpNet::V6(net)) = self.ipv6.address
            && net.prefix_len() > 64
            && self.ipv6.dhcp
            && !self.ipv6.stateful
        {
            return Err(reader
                .invalid("ipv6.address", "subnets smaller than /64 need ipv6.dhcp.stateful=true or ipv6.dhcp=false"));
        }
        if self.mtu.is_some_and(|mtu| mtu < 1280) && self.ipv6.address.is_some() {
            return Err(reader.invalid("bridge.mtu", "The minimum MTU for an interface with IPv6 is 1280"));
        }
        Ok(())
    }
}

fn raw(text: &str) -> Checked<String> {
    if text.contains('\0') { Err("it contains a zero byte".into()) } else { Ok(text.into()) }
}

struct Reader<'a> {
    name: &'a str,
    config: &'a ConfigMap,
}

impl Reader<'_> {
    fn family(&self, version: Version) -> Result<Family, DriverError> {
        let key = |rest: &str| format!("{}.{rest}", version.prefix());
        let wish = self.get(&key("address")).filter(|text| !matches!(*text, "none" | "auto"));
        let address = wish.map(|text| value::interface_address(version, text)).transpose();
        let address = address.map_err(|why| self.invalid(&key("address"), &why))?;
        let subnet = address.map(|net| net.trunc());
        let nat_order = self.choice(&key("nat.order"), &[("before", Order::Before), ("after", Order::After)])?;
        let switch = |rest: &str, default: bool| -> Result<bool, DriverError> {
            Ok(self.optional(&key(rest), value::boolean)?.unwrap_or(default))
        };
        Ok(Family {
            version,
            address,
            nat: switch("nat", false)?,
            nat_address: self.optional(&key("nat.address"), |text| value::address(version, text))?,
            nat_order,
            dhcp: switch("dhcp", true)?,
            stateful: version == Version::Six && switch("dhcp.stateful", false)?,
            ranges: self.list(&key("dhcp.ranges"), |text| value::range(version, text, subnet))?,
            expiry: self.optional(&key("dhcp.expiry"), value::expiry)?.unwrap_or_else(|| "1h".into()),
            gateway: self.optional(&key("dhcp.gateway"), |text| value::address(version, text))?,
            routing: switch("routing", true)?,
            firewall: switch("firewall", true)?,
            routes: self.list(&key("routes"), |text| value::network(version, text).map(|net| net.trunc()))?,
        })
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn optional<T>(&self, key: &str, parse: impl Fn(&str) -> Checked<T>) -> Result<Option<T>, DriverError> {
        self.get(key).map(parse).transpose().map_err(|why| self.invalid(key, &why))
    }

    fn list<T>(&self, key: &str, parse: impl Fn(&str) -> Checked<T>) -> Result<Vec<T>, DriverError> {
        let text = self.get(key).unwrap_or_default();
        value::items(text).map(parse).collect::<Checked<_>>().map_err(|why| self.invalid(key, &why))
    }

    /// The first choice is the default.
    fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<T, DriverError> {
        let word = self.get(key).unwrap_or(choices[0].0);
        let found = choices.iter().find(|(name, _)| *name == word).map(|(_, choice)| *choice);
        found.ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            self.invalid(key, &format!("Invalid value {word:?} (not one of {})", names.join(", ")))
        })
    }

    fn refuse_unknown(&self) -> Result<(), DriverError> {
        let keys = network_keys();
        match self.config.keys().find(|key| !keys.iter().any(|known| known.covers(key))) {
            Some(key) => {
                Err(DriverError::invalid(key, format!("Invalid option for network {:?} option {key:?}", self.name)))
            }
            None => Ok(()),
        }
    }

    fn invalid(&self, key: &str, why: &str) -> DriverError {
        DriverError::invalid(key, format!("Invalid value for network {:?} option {key:?}: {why}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Network, DriverError> {
        let config = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Network::parse("br0", &config)
    }

    #[test]
    fn nothing_set_is_a_network_without_addresses() {
        let network = parse(&[]).unwrap();
        assert_eq!((network.ipv4.address, network.ipv6.address), (None, None));
        assert!(network.ipv4.dhcp && network.ipv4.routing && network.ipv4.firewall && !network.ipv4.nat);
        assert_eq!((network.domain.as_str(), network.dns_mode), ("lxd", DnsMode::Managed));
    }

    #[test]
    fn a_wrong_value_is_named_as_lxd_names_it() {
        let error = parse(&[("ipv4.address", "10.0.0.0.1/24")]).unwrap_err();
        assert_eq!(error.key.as_deref(), Some("ipv4.address"));
        assert_eq!(
            error.message,
            "Invalid value for network \"br0\" option \"ipv4.address\": Not an IPv4 network \"10.0.0.0.1/24\""
        );
        let error = parse(&[("ipv4.nope", "1")]).unwrap_err();
        assert_eq!(error.message, "Invalid option for network \"br0\" option \"ipv4.nope\"");
        for (key, value) in [
            ("ipv4.nat", "maybe"),
            ("ipv4.nat.order", "middle"),
            ("ipv4.nat.address", "fd42::1"),
            ("ipv4.dhcp.ranges", "10.0.0.9-10.0.0.2"),
            ("ipv4.dhcp.expiry", "1h\nlog-queries"),
            ("ipv6.routes", "10.0.0.0/8"),
            ("dns.mode", "static"),
            ("dns.domain", "lxd\nlog-queries"),
            ("dns.search", "a.example, b c"),
            ("bridge.mtu", "12"),
            ("bridge.hwaddr", "00:16:3e"),
            ("bridge.external_interfaces", "eth0;eth1"),
            ("raw.dnsmasq", "a\0b"),
        ] {
            assert_eq!(parse(&[(key, value)]).unwrap_err().key.as_deref(), Some(key), "{key}={value:?}");
        }
        assert_eq!(Network::parse("a", &ConfigMap::new()).unwrap_err().key.as_deref(), Some("name"));
    }

    #[test]
    fn keys_are_checked_against_each_other() {
        assert!(parse(&[("ipv6.address", "fd42::1/80")]).is_err());
        assert!(parse(&[("ipv6.address", "fd42::1/80"), ("ipv6.dhcp.stateful", "true")]).is_ok());
        assert!(parse(&[("ipv6.address", "fd42::1/64"), ("bridge.mtu", "1000")]).is_err());
        let outside = [("ipv4.address", "10.0.0.1/24"), ("ipv4.dhcp.ranges", "10.1.0.2-10.1.0.9")];
        assert_eq!(parse(&outside).unwrap_err().key.as_deref(), Some("ipv4.dhcp.ranges"));
    }
}
