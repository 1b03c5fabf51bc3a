//! DHCP, DNS and router advertisements by dnsmasq, one process a network, which outlives this driver.
//!
//! Owns what dnsmasq reads and writes: `dnsmasq.conf` ([`settings`], pure), a file for each NIC ([`hosts`]), leases
//! ([`leases`]); and when it runs ([`service`]). Invariant: nothing a user wrote stands in a file except checked values
//! and, in a file of its own, `raw.dnsmasq`.

mod hosts;
mod leases;
mod ready;
mod service;
pub(crate) mod settings;

pub(crate) use hosts::{Memory, host_line, set_host};
pub(crate) use leases::read_leases;
pub(crate) use service::{renew, start, stop};
pub(crate) use settings::whole_ipv4;
