//! Interfaces, addresses and routes, by rtnetlink.
//!
//! [`Links`] is the one connection to the kernel, in the network namespace of the thread that opened it. Every method
//! is a message or a dump and its answer; whether that is right is the callers' business.

mod address;
mod bridge;
mod error;
mod links;
mod read;
mod shape;
mod veth;

pub(crate) use bridge::NewBridge;
pub(crate) use error::LinkError;
pub(crate) use links::Links;
pub(crate) use read::{Found, Kind};
pub(crate) use veth::NewVeth;
