//! A NIC's line in dnsmasq's hosts directory: its fixed addresses and its name.

use std::net::IpAddr;

use crate::config::Mac;

/// The line for a NIC; `None` if there is nothing to say about it. `name` has been checked to be one DNS label.
pub(crate) fn host_line(mac: Mac, ipv4: Option<IpAddr>, ipv6: Option<IpAddr>, name: Option<&str>) -> Option<String> {
    let ipv6 = ipv6.map(|address| format!("[{address}]"));
    let parts: Vec<_> =
        [ipv4.map(|address| address.to_string()), ipv6, name.map(str::to_owned)].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("{mac},{}\n", parts.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_what_is_known() {
        let mac = "00:16:3e:00:00:01".parse().unwrap();
        let line = host_line(mac, "10.0.0.5".parse().ok(), "fd42::5".parse().ok(), Some("c1"));
        assert_eq!(line.unwrap(), "00:16:3e:00:00:01,10.0.0.5,[fd42::5],c1\n");
        assert_eq!(host_line(mac, None, None, Some("c1")).unwrap(), "00:16:3e:00:00:01,c1\n");
        assert_eq!(host_line(mac, None, None, None), None);
    }
}
