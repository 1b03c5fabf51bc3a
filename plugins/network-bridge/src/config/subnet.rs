//! Choosing a subnet for `auto`: random, private, and nobody else's.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rand::Rng;

/// Subnets the host already knows, with what they belong to (`interface eth0`).
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken(Vec<(IpNet, String)>);

impl Taken {
    pub(crate) fn add(&mut self, net: IpNet, owner: impl Into<String>) {
        self.0.push((net.trunc(), owner.into()));
    }

    /// Who uses an address of `net`.
    pub(crate) fn owner(&self, net: IpNet) -> Option<(IpNet, &str)> {
        let overlaps = |other: &IpNet| net.contains(&other.network()) || other.contains(&net.network());
        self.0.iter().find(|(other, _)| overlaps(other)).map(|(other, owner)| (*other, owner.as_str()))
    }

    /// The first address of a free /24, as a rule below 10.0.0.0/8.
    pub(crate) fn free_ipv4(&self, random: &mut impl Rng) -> Option<Ipv4Net> {
        let subnet = |second: u8, third: u8| Ipv4Net::new(Ipv4Addr::new(10, second, third, 1), 24).ok();
        let guesses = (0..64).filter_map(|_| subnet(random.random(), random.random_range(1..255))).collect::<Vec<_>>();
        let all = (0..=255).flat_map(|second| (1..255).filter_map(move |third| subnet(second, third)));
        let private_b = (16..32).flat_map(|second| (1..255).map(move |third| Ipv4Addr::new(172, second, third, 1)));
        let private_c = (1..255).map(|third| Ipv4Addr::new(192, 168, third, 1));
        let last = private_b.chain(private_c).filter_map(|address| Ipv4Net::new(address, 24).ok());
        guesses.into_iter().chain(all).chain(last).find(|net| self.owner((*net).into()).is_none())
    }

    /// The first address of a free /64 of unique local addresses.
    pub(crate) fn free_ipv6(&self, random: &mut impl Rng) -> Option<Ipv6Net> {
        let mut subnet = || {
            let address = Ipv6Addr::new(0xfd42, random.random(), random.random(), random.random(), 0, 0, 0, 1);
            Ipv6Net::new(address, 64).ok()
        };
        (0..64).filter_map(|_| subnet()).find(|net| self.owner((*net).into()).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(nets: &[&str]) -> Taken {
        let mut taken = Taken::default();
        nets.iter().for_each(|net| taken.add(net.parse().unwrap(), "interface eth0"));
        taken
    }

    #[test]
    fn a_free_subnet_is_private_and_nobody_elses() {
        let taken = taken(&["10.0.0.0/9", "10.200.0.0/16"]);
        for _ in 0..100 {
            let net = taken.free_ipv4(&mut rand::rng()).unwrap();
            assert_eq!((net.addr().octets()[0], net.addr().octets()[3], net.prefix_len()), (10, 1, 24));
            assert!(net.addr().octets()[1] >= 128 && net.addr().octets()[1] != 200, "{net}");
            let net = taken.free_ipv6(&mut rand::rng()).unwrap();
            assert!(net.to_string().starts_with("fd42:") && net.to_string().ends_with("::1/64"), "{net}");
        }
    }

    #[test]
    fn other_private_ranges_help_when_ten_is_taken_and_then_there_is_none() {
        let net = taken(&["10.0.0.0/8"]).free_ipv4(&mut rand::rng()).unwrap();
        assert_eq!(net.to_string(), "172.16.1.1/24");
        assert!(taken(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]).free_ipv4(&mut rand::rng()).is_none());
    }

    #[test]
    fn an_overlap_is_seen_from_either_side() {
        let taken = taken(&["10.1.2.0/24"]);
        for net in ["10.1.0.1/16", "10.1.2.1/24", "10.1.2.129/25"] {
            assert_eq!(taken.owner(net.parse().unwrap()).unwrap().1, "interface eth0", "{net}");
        }
        assert!(taken.owner("10.1.3.1/24".parse().unwrap()).is_none());
    }
}
