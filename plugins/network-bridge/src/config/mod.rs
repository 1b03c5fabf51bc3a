//! Configuration as users write it, made into types: from here on nothing can break a line, a rule or an option.
//!
//! Owns the keys ([`schema`]), their values ([`Network`], [`Nic`]) and what is filled in for `auto` ([`fill`], [`subnet`]).
//! No input or output. Read [`network`] first.

mod fill;
mod network;
mod nic;
mod schema;
mod subnet;
mod value;

pub(crate) use fill::fill;
pub(crate) use network::{DnsMode, Family, Network, Order};
pub(crate) use nic::{Nic, Parent, Wish};
pub(crate) use schema::{network_keys, nic_keys};
pub(crate) use subnet::Taken;
pub(crate) use value::{Mac, Version, interface_name};
