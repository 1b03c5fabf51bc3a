//! dnsmasq's lease file: `EXPIRY MAC ADDRESS NAME CLIENT-ID` for IPv4, and after a `duid` line
//! `EXPIRY IAID ADDRESS NAME DUID` for IPv6.

use std::path::Path;

use hull_plugin::network::Lease;
use hull_plugin::{Code, DriverError};

use super::settings::LEASES;
use crate::config::Mac;

/// The leases given so far; none if dnsmasq never ran.
pub(crate) fn read_leases(directory: &Path) -> Result<Vec<Lease>, DriverError> {
    let path = directory.join(LEASES);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(parse(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => {
            Err(DriverError::new(Code::Internal, format!("cannot read the leases in `{}`", path.display()))
                .because(error))
        }
    }
}

/// A line that cannot be understood is left out: clients have a say in what stands there.
fn parse(text: &str) -> Vec<Lease> {
    text.lines().filter_map(lease).collect()
}

fn lease(line: &str) -> Option<Lease> {
    let fields: Vec<_> = line.split(' ').collect();
    let [_expiry, hardware, address, name, id] = fields.as_slice() else { return None };
    let address: std::net::IpAddr = address.parse().ok()?;
    let hwaddr = if address.is_ipv4() { hardware.parse().ok() } else { mac_of_duid(id) };
    Some(Lease {
        hostname: if *name == "*" { String::new() } else { (*name).into() },
        hwaddr: hwaddr.map_or_else(String::new, |mac: Mac| mac.to_string()),
        address: address.to_string(),
        kind: "dynamic".into(),
    })
}

/// The Ethernet address in a DUID of type 1 (with time) or 3 (without), RFC 8415.
fn mac_of_duid(duid: &str) -> Option<Mac> {
    let octets: Vec<u8> = duid.split(':').map(|octet| u8::from_str_radix(octet, 16)).collect::<Result<_, _>>().ok()?;
    match octets.as_slice() {
        [0, 1, 0, 1, _, _, _, _, mac @ ..] | [0, 3, 0, 1, mac @ ..] => mac.try_into().ok().map(Mac),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_understood_and_rubbish_is_not_believed() {
        let leases = parse(concat!(
            "1700000000 00:16:3e:00:00:01 10.0.0.7 c1 01:00:16:3e:00:00:01\n",
            "1700000000 00:16:3e:00:00:02 10.0.0.8 * *\n",
            "duid 00:01:00:01:2e:aa:bb:cc:00:16:3e:00:00:09\n",
            "1700000000 1311768465 fd42::7 c1 00:01:00:01:2e:aa:bb:cc:00:16:3e:00:00:01\n",
            "half a line\n",
            "1700000000 00:16:3e:00:00:03 not-an-address c3 *\n",
        ));
        let short: Vec<_> =
            leases.iter().map(|l| (l.hostname.as_str(), l.hwaddr.as_str(), l.address.as_str())).collect();
        assert_eq!(
            short,
            [
                ("c1", "00:16:3e:00:00:01", "10.0.0.7"),
                ("", "00:16:3e:00:00:02", "10.0.0.8"),
                ("c1", "00:16:3e:00:00:01", "fd42::7"),
            ]
        );
    }
}
