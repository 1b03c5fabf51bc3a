//! `cargo xtask bench`: Hull beside the real LXD, the same work on both in turn.
//!
//! ```text
//! run ─▶ server (a private daemon, lxd or hulld) ─▶ measures, containment ─▶ report (medians, ratios)
//!              └─ client: raw HTTP over the Unix socket, nothing of either project in the figures
//! ```
//! Invariant: both sides get the same requests from the same code; only how a daemon is started differs ([`server`]).

mod client;
mod containment;
mod image;
mod measures;
mod memory;
mod report;
mod run;
mod server;
mod websocket;

pub(crate) use run::{Bench, run};
