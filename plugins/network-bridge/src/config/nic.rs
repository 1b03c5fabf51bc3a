//! A NIC's configuration as types.

use std::net::IpAddr;

use hull_plugin::network::NicSpec;
use hull_plugin::{ConfigMap, DriverError};
use ipnet::IpNet;

use super::network::Network;
use super::value::{self, Checked, Mac, Version};

/// A NIC, every value checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Nic {
    pub(crate) parent: Parent,
    /// The interface's name inside.
    pub(crate) name: String,
    /// The host's end, if the user named it.
    pub(crate) host_interface: Option<String>,
    pub(crate) mac: Mac,
    pub(crate) mtu: Option<u32>,
    pub(crate) queue_length: Option<u32>,
    pub(crate) ipv4: Wish,
    pub(crate) ipv6: Wish,
    pub(crate) routes: Vec<IpNet>,
    /// Bits per second into the instance.
    pub(crate) ingress: Option<u64>,
    /// Bits per second out of the instance.
    pub(crate) egress: Option<u64>,
    pub(crate) mac_filtering: bool,
    pub(crate) ipv4_filtering: bool,
    pub(crate) ipv6_filtering: bool,
    pub(crate) isolated: bool,
    /// Its name in DNS, if it is one that DNS can have.
    pub(crate) dns_name: Option<String>,
}

/// What a NIC is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parent {
    Managed(String),
    /// A bridge of the host's.
    Foreign(String),
}

/// A NIC's address in one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Any,
    Fixed(IpAddr),
    /// Filtered altogether.
    None,
}

impl Wish {
    pub(crate) fn fixed(self) -> Option<IpAddr> {
        match self {
            Self::Fixed(address) => Some(address),
            Self::Any | Self::None => None,
        }
    }
}

impl Nic {
    pub(crate) fn parse(spec: &NicSpec) -> Result<Self, DriverError> {
        let reader = Reader { device: spec.device.as_str(), config: &spec.config };
        if let Some(kind) = reader.get("nictype").filter(|kind| *kind != "bridged") {
            return Err(reader.invalid("nictype", &format!("the driver `bridge` makes no {kind:?} NICs")));
        }
        let parent = match &spec.network {
            Some(network) => Parent::Managed(network.as_str().into()),
            None => Parent::Foreign(
                reader
                    .optional("parent", value::interface_name)?
                    .ok_or_else(|| reader.invalid("parent", "a NIC without a network needs one"))?,
            ),
        };
        let limit = reader.optional("limits.max", value::bit_rate)?;
        let switch =
            |key: &str| -> Result<bool, DriverError> { Ok(reader.optional(key, value::boolean)?.unwrap_or(false)) };
        let (ipv4_filtering, ipv6_filtering) = (switch("security.ipv4_filtering")?, switch("security.ipv6_filtering")?);
        let mut routes =
            reader.list("ipv4.routes", |text| value::network(Version::Four, text).map(|net| net.trunc()))?;
        routes.extend(reader.list("ipv6.routes", |text| value::network(Version::Six, text).map(|net| net.trunc()))?);
        Ok(Self {
            parent,
            name: inner_name(&spec.name).map_err(|why| reader.invalid("name", &why))?,
            host_interface: reader.optional("host_name", value::interface_name)?,
            mac: spec.hwaddr.parse().map_err(|why: String| reader.invalid("hwaddr", &why))?,
            mtu: spec.mtu,
            queue_length: reader.optional("queue.tx.length", queue_length)?,
            ipv4: reader.wish(Version::Four)?,
            ipv6: reader.wish(Version::Six)?,
            routes,
            ingress: reader.optional("limits.ingress", value::bit_rate)?.or(limit).filter(|rate| *rate > 0),
            egress: reader.optional("limits.egress", value::bit_rate)?.or(limit).filter(|rate| *rate > 0),
            mac_filtering: switch("security.mac_filtering")? || ipv4_filtering || ipv6_filtering,
            ipv4_filtering,
            ipv6_filtering,
            isolated: switch("security.port_isolation")?,
            dns_name: value::domain(&spec.host_name).ok().filter(|name| !name.contains('.')),
        })
    }

    /// What only makes sense within `network`'s subnets.
    pub(crate) fn check_within(&self, network: &Network, device: &str) -> Result<(), DriverError> {
        for (wish, family) in [(self.ipv4, &network.ipv4), (self.ipv6, &network.ipv6)] {
            let Some(address) = wish.fixed() else { continue };
            let key = format!("{}.address", family.version.prefix());
            let message = match family.address {
                None => format!("Cannot specify {key:?} when network {:?} has none", network.name),
                Some(net) if !net.contains(&address) => {
                    format!("Device IP address {:?} not within network {:?} subnet", address.to_string(), network.name)
                }
                Some(net) if net.addr() == address => {
                    format!(
                        "Device IP address {:?} is the address of network {:?} itself",
                        address.to_string(),
                        network.name
                    )
                }
                Some(_) if !family.dhcp => {
                    format!("Cannot specify {key:?} when DHCP is disabled on network {:?}", network.name)
                }
                Some(_) => continue,
            };
            return Err(DriverError::invalid(
                &key,
                format!("Invalid value for device {device:?} option {key:?}: {message}"),
            ));
        }
        Ok(())
    }

    pub(crate) fn filtered(&self) -> bool {
        self.mac_filtering || self.ipv4_filtering || self.ipv6_filtering
    }
}

/// Any name the kernel takes, without what could hurt a reader of the instance's files.
fn inner_name(text: &str) -> Checked<String> {
    let allowed = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':' | '%');
    let good = (1..=15).contains(&text.len()) && text.chars().all(allowed) && !matches!(text, "." | "..");
    if good { Ok(text.into()) } else { Err(format!("Invalid interface name {text:?}")) }
}

fn queue_length(text: &str) -> Checked<u32> {
    text.parse().map_err(|_| format!("Invalid value for an integer {text:?}"))
}

struct Reader<'a> {
    device: &'a str,
    config: &'a ConfigMap,
}

impl Reader<'_> {
    fn wish(&self, version: Version) -> Result<Wish, DriverError> {
        let key = format!("{}.address", version.prefix());
        let fixed = self.optional(&key, |text| match text {
            "none" => Ok(Wish::None),
            text => value::address(version, text).map(Wish::Fixed),
        });
        Ok(fixed?.unwrap_or(Wish::Any))
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

    fn invalid(&self, key: &str, why: &str) -> DriverError {
        DriverError::invalid(key, format!("Invalid value for device {:?} option {key:?}: {why}", self.device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_plugin::{DeviceName, InstanceId, NetworkName};

    fn spec(config: &[(&str, &str)]) -> NicSpec {
        NicSpec {
            instance: InstanceId::new("c1").unwrap(),
            host_name: "c1".into(),
            device: DeviceName::new("eth0").unwrap(),
            network: Some(NetworkName::new("br0").unwrap()),
            name: "eth0".into(),
            hwaddr: "00:16:3e:01:02:03".into(),
            mtu: None,
            config: config.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        }
    }

    #[test]
    fn limits_and_filters_follow_from_each_other() {
        let nic = Nic::parse(&spec(&[("limits.max", "10Mbit"), ("security.ipv4_filtering", "true")])).unwrap();
        assert_eq!((nic.ingress, nic.egress), (Some(10_000_000), Some(10_000_000)));
        assert!(nic.mac_filtering && nic.ipv4_filtering && !nic.ipv6_filtering);
        assert_eq!(nic.dns_name.as_deref(), Some("c1"));
    }

    #[test]
    fn wrong_values_are_named() {
        for (key, value) in [
            ("nictype", "macvlan"),
            ("ipv4.address", "fd42::1"),
            ("ipv6.address", "10.0.0.5"),
            ("limits.ingress", "10MB"),
            ("host_name", "veth0\n"),
            ("ipv4.routes", "10.0.0.0/33"),
            ("security.mac_filtering", "perhaps"),
            ("queue.tx.length", "long"),
        ] {
            assert_eq!(Nic::parse(&spec(&[(key, value)])).unwrap_err().key.as_deref(), Some(key), "{key}={value}");
        }
        let nameless = NicSpec { name: "eth/0".into(), ..spec(&[]) };
        assert_eq!(Nic::parse(&nameless).unwrap_err().key.as_deref(), Some("name"));
        let orphan = NicSpec { network: None, ..spec(&[]) };
        assert_eq!(Nic::parse(&orphan).unwrap_err().key.as_deref(), Some("parent"));
    }

    #[test]
    fn a_host_name_that_dns_cannot_have_is_left_out() {
        for bad in ["a.b", "a b", "a,b", "a\nb", "a#b", ""] {
            let odd = NicSpec { host_name: bad.into(), ..spec(&[]) };
            assert_eq!(Nic::parse(&odd).unwrap().dns_name, None, "{bad:?}");
        }
    }

    #[test]
    fn an_address_must_be_the_networks() {
        let config = [("ipv4.address".into(), "10.0.0.1/24".into())].into();
        let network = Network::parse("br0", &config).unwrap();
        let check =
            |address: &str| Nic::parse(&spec(&[("ipv4.address", address)])).unwrap().check_within(&network, "eth0");
        assert!(check("10.0.0.5").is_ok());
        assert!(check("10.0.1.5").unwrap_err().message.contains("not within network \"br0\" subnet"));
        assert!(check("10.0.0.1").is_err());
    }
}
