//! Single values: addresses, names, amounts. Each parser says what it wanted in LXD's words.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Why a value will not do; the caller adds object and key.
pub(crate) type Checked<T> = Result<T, String>;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Mac(pub(crate) [u8; 6]);

impl Mac {
    /// The address a host with this MAC gives itself in `prefix` (modified EUI-64, RFC 4291).
    pub(crate) fn eui64(self, prefix: Ipv6Addr) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        let mut octets = prefix.octets();
        octets[8..].copy_from_slice(&[a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
        octets.into()
    }
}

impl FromStr for Mac {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("Invalid MAC address {text:?}");
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2 && !part.starts_with('+')).ok_or_else(bad)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| bad())?;
        }
        if parts.next().is_some() || octets[0] & 1 == 1 { Err(bad()) } else { Ok(Self(octets)) }
    }
}

impl TryFrom<String> for Mac {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A name the kernel, nft and dnsmasq all take as it is.
pub(crate) fn interface_name(text: &str) -> Checked<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match text {
        _ if text.len() < 2 => Err("Network interface is too short (minimum 2 characters)".into()),
        _ if text.len() > 15 => Err("Network interface is too long (maximum 15 characters)".into()),
        _ if !text.chars().all(allowed) => Err("Network interface contains invalid characters".into()),
        _ if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) => {
            Err("Network interface must start with a letter or a digit".into())
        }
        _ => Ok(text.into()),
    }
}

pub(crate) fn boolean(text: &str) -> Checked<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("Invalid value for a boolean {text:?}")),
    }
}

pub(crate) fn mtu(text: &str) -> Checked<u32> {
    let wanted = || format!("Invalid MTU {text:?}: a number from 68 to 65535");
    text.parse().ok().filter(|mtu| (68..=65535).contains(mtu)).ok_or_else(wanted)
}

/// Which of the two address families a key is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Four,
    Six,
}

impl Version {
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Four => "ipv4",
            Self::Six => "ipv6",
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Four => 4,
            Self::Six => 6,
        }
    }

    pub(crate) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Four } else { Self::Six }
    }
}

pub(crate) fn address(version: Version, text: &str) -> Checked<IpAddr> {
    let parsed = match version {
        Version::Four => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Version::Six => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
    };
    parsed.ok_or_else(|| format!("Not an IPv{} address {text:?}", version.number()))
}

/// An interface's address with its prefix length, which must leave room for others.
pub(crate) fn interface_address(version: Version, text: &str) -> Checked<IpNet> {
    let net = network(version, text)?;
    let usable = match net {
        IpNet::V4(net) => net.prefix_len() >= 1 && net.prefix_len() <= 32,
        IpNet::V6(net) => net.prefix_len() >= 1,
    };
    if !usable || net.addr().is_unspecified() || net.addr().is_multicast() || net.addr().is_loopback() {
        return Err(format!("Not a usable IPv{} network address {text:?}", version.number()));
    }
    let room = net.prefix_len() < net.max_prefix_len() - 1;
    if room && net.addr() == net.network() {
        return Err(format!(
            "Not a usable IPv{} network address {text:?}: it is the address of the subnet",
            version.number()
        ));
    }
    Ok(net)
}

/// A subnet, or an address with its prefix length.
pub(crate) fn network(version: Version, text: &str) -> Checked<IpNet> {
    let net: Option<IpNet> = text.parse().ok();
    let net = net.filter(|net| Version::of(net.addr()) == version);
    net.ok_or_else(|| format!("Not an IPv{} network {text:?}", version.number()))
}

/// The items of a comma-delimited list, without the blanks around them.
pub(crate) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// `FIRST-LAST`, both inside `subnet` when that is known.
pub(crate) fn range(version: Version, text: &str, subnet: Option<IpNet>) -> Checked<(IpAddr, IpAddr)> {
    let (first, last) = text.split_once('-').ok_or_else(|| format!("IP range {text:?} must be FIRST-LAST"))?;
    let (first, last) = (address(version, first.trim())?, address(version, last.trim())?);
    if first > last {
        return Err(format!("Start IP {:?} must be less than End IP {:?}", first.to_string(), last.to_string()));
    }
    match subnet {
        Some(subnet) if !(subnet.contains(&first) && subnet.contains(&last)) => {
            Err(format!("IP range {text:?} does not fall within any of the allowed networks {subnet}"))
        }
        _ => Ok((first, last)),
    }
}

/// A time as dnsmasq writes it: `3600`, `30m`, `1h`, `2d`, `1w`, `infinite`.
pub(crate) fn expiry(text: &str) -> Checked<String> {
    let digits = text.strip_suffix(['s', 'm', 'h', 'd', 'w']).unwrap_or(text);
    let number = !digits.is_empty() && digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if number || text == "infinite" { Ok(text.into()) } else { Err(format!("Invalid expiry {text:?}")) }
}

/// A DNS domain of letters, digits, hyphens and underscores.
pub(crate) fn domain(text: &str) -> Checked<String> {
    let label = |label: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        (1..=63).contains(&label.len())
            && label.chars().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() <= 253 && text.split('.').all(label) {
        Ok(text.into())
    } else {
        Err(format!("Invalid domain name {text:?}"))
    }
}

/// Bits per second: `10Mbit`, `512kbit`, `1Gibit`, or a bare number.
pub(crate) fn bit_rate(text: &str) -> Checked<u64> {
    let bad = || format!("Invalid value {text:?}: a number of bits per second such as 10Mbit");
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let number: u64 = digits.parse().map_err(|_| bad())?;
    let factor = match unit {
        "" | "bit" => 1,
        "kbit" => 1000,
        "Mbit" => 1_000_000,
        "Gbit" => 1_000_000_000,
        "Tbit" => 1_000_000_000_000,
        "Kibit" => 1 << 10,
        "Mibit" => 1 << 20,
        "Gibit" => 1 << 30,
        "Tibit" => 1 << 40,
        _ => return Err(bad()),
    };
    number.checked_mul(factor).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_are_safe_everywhere() {
        for good in ["lxdbr0", "br-1.2", "a_b"] {
            assert!(interface_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "sixteen-letters-", "br 0", "br\n0", "..", ".a", "-br", "br\"", "br*", "br;", "bé", "br/0"]
        {
            assert!(interface_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn macs_and_the_addresses_made_of_them() {
        let mac: Mac = "00:16:3e:0A:bc:01".parse().unwrap();
        assert_eq!(mac.to_string(), "00:16:3e:0a:bc:01");
        assert_eq!(mac.eui64("fd42:1::".parse().unwrap()).to_string(), "fd42:1::216:3eff:fe0a:bc01");
        for bad in
            ["", "00:16:3e:00:00", "00:16:3e:00:00:00:00", "0:16:3e:00:00:00", "01:00:00:00:00:00", "zz:16:3e:00:00:00"]
        {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }

    #[test]
    fn amounts_and_times() {
        assert_eq!(bit_rate("10Mbit"), Ok(10_000_000));
        assert_eq!(bit_rate("2Kibit"), Ok(2048));
        assert_eq!(bit_rate("99"), Ok(99));
        for bad in ["", "Mbit", "10MB", "-1", "1e3", "99999999999999999999", "99999999999Tbit"] {
            assert!(bit_rate(bad).is_err(), "{bad}");
        }
        assert!(expiry("1h").is_ok() && expiry("infinite").is_ok() && expiry("3600").is_ok());
        for bad in ["", "h", "1y", "1h\nlog-queries", "-1"] {
            assert!(expiry(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_ranges_and_domains() {
        assert!(interface_address(Version::Four, "10.0.0.1/24").is_ok());
        for bad in ["10.0.0.0/24", "10.0.0.1", "fd42::1/64", "10.0.0.1/33", "127.0.0.1/8", "0.0.0.0/0", "x"] {
            assert!(interface_address(Version::Four, bad).is_err(), "{bad}");
        }
        let subnet = "10.0.0.0/24".parse().ok();
        assert!(range(Version::Four, "10.0.0.5-10.0.0.9", subnet).is_ok());
        for bad in ["10.0.0.9-10.0.0.5", "10.0.0.5", "10.0.0.5-10.0.1.9", "10.0.0.5-x"] {
            assert!(range(Version::Four, bad, subnet).is_err(), "{bad}");
        }
        assert!(domain("lxd").is_ok() && domain("a.b-c.example").is_ok());
        for bad in ["", ".", "a..b", "-a", "a b", "a/b", "a,b", "a\nb", "a#b"] {
            assert!(domain(bad).is_err(), "{bad:?}");
        }
    }
}
