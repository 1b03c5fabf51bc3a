//! The daemon itself: what it is and can (`GET /1.0`), its configuration, and its end.
//!
//! Owns the keys of the server's configuration and the facts about kernel and machine, which are found out once, when the
//! daemon starts. [`Server::shutdown_requested`] and [`Server::set_ready`] are how the API and the daemon's main task speak to each other.

mod api;
mod config;
mod cpu;
mod environment;
mod extensions;
mod memory;
mod pci;
mod registry;
mod resources;
mod store;

pub(crate) use api::routes;
pub(crate) use environment::architecture;
pub(crate) use registry::Server;
