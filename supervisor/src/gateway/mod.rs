//! hulld's side of the gateway: it accepts connections, knows who speaks, and answers what the gateway parsed.
//!
//! ```text
//! client ─▶ listener (hulld accepts, asks the kernel who it is) ─ descriptor + token ─▶ hull-gateway
//!               ▲ kept in the keeper's store: no restart loses a waiting client            │ HTTP
//!               └──────────────── reply ◀── router ◀── Api::call(token, request) ◀─────────┘
//! ```
//! Gateways outlive the supervisor: they are children of the keeper, wait for the next supervisor, and are taken over by it.
//! A call counts for the connection its token names and for nobody else, so a hijacked gateway can act only for
//! connections that are open. Start with [`Gateways`].

mod accept;
mod answer;
mod body;
mod gateways;
mod listener;
mod process;
mod table;

use std::path::PathBuf;

use crate::cgroups::Cgroups;
use crate::keeper::KeeperClient;

pub(crate) use answer::{descriptor_response, take_upload, upgrade_response};
pub(crate) use gateways::Gateways;
pub(crate) use listener::listen;

/// What gateways need of hulld.
pub(crate) struct Settings {
    pub(crate) hull_dir: PathBuf,
    /// hulld's own program: it builds the sandboxes, and the gateway's is beside it.
    pub(crate) executable: PathBuf,
    pub(crate) cgroups: Cgroups,
    pub(crate) keeper: KeeperClient,
}

/// Who is at the other end of a connection, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerCredentials {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) pid: i32,
}
