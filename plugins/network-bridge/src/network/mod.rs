//! Networks: a bridge, its addresses, its table of rules, its dnsmasq.
//!
//! Invariant: a record stands in the state directory before anything of the network is made, so whatever a crash leaves
//! can be found; and nothing is touched that does not carry this Hull's mark. Read [`ensure`] first.

mod apply;
mod delete;
mod ensure;
mod look;

pub(crate) use delete::delete;
pub(crate) use ensure::{ensure, validate};
pub(crate) use look::{host_interfaces, leases, state};
