//! hulld's side of the gateway: it accepts connections, knows who speaks, and answers what the gateway parsed.
//!
//! ```text
//! client ─▶ listener (hulld accepts, asks the kernel who it is) ─ descriptor + token ─▶ hull-gateway
//!               ▲ kept in the keeper's store: no restart loses a waiting client            │ HTTP
//!               └──────────────── reply ◀── router ◀── Api::call(token, request) ◀─────────┘
//! ```
//! A call counts for the connection its token names and for nobody else, so a hijacked gateway can act only for
//! connections that are open. Start with [`serve`].

mod accept;
mod answer;
mod body;
mod listener;
mod process;

pub(crate) use answer::{descriptor_response, take_upload, upgrade_response};
pub(crate) use listener::listen;
pub(crate) use process::{Settings, serve};

/// Who is at the other end of a connection, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerCredentials {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) pid: i32,
}
