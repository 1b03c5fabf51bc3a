//! NICs: a veth from a bridge into an instance, what it may send, how fast, and what DHCP and DNS know about it.
//!
//! Invariant: a record stands in the state directory before anything of a NIC is made.

mod address;
mod attach;
mod detach;
mod hosts;

pub(crate) use attach::attach;
pub(crate) use detach::detach;
pub(crate) use hosts::refresh_hosts;
