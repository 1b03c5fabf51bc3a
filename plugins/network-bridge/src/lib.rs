//! The network driver `bridge`: managed bridges with DHCP, DNS, router advertisements and NAT, and veth NICs on them or
//! on bridges of the host's.
//!
//! ```text
//! driver ── the contract; one line a verb
//!   network/ ── ensure, delete, look        nic/ ── attach, detach
//!   config/ ── words to types (pure)        state ── what survives this process
//!   link/ ── rtnetlink    firewall/ ── nft  dnsmasq/ ── a service of Hull's    sysctl
//! ```
//! The kernel does the forwarding and dnsmasq, which Hull keeps running, the rest: killing this process disturbs nobody.

mod config;
mod dnsmasq;
mod driver;
mod firewall;
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod link;
mod network;
mod nic;
mod reconcile;
mod state;
mod sysctl;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::process::ExitCode;

/// The whole program.
pub fn main() -> ExitCode {
    hull_plugin::serve_network(|host| driver::BridgeDriver::new(Path::new("/state"), host))
}
