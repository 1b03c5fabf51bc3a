//! The gateway: HTTP and websockets in, [`hull_gateway_contract`] calls out.
//!
//! It is a process without files, network or rights. hulld hands it connections; it parses what clients send, asks hulld
//! what to answer, and moves the bytes. It decides nothing. One thread runs everything; only file content that may make the
//! kernel wait (a slow disk, a tenant's FUSE file) is moved on helper threads, so that no client delays another.
//!
//! Start with `process` (what runs), then `connection::serve` (one client).

mod connection;
mod descriptor;
mod failure;
#[doc(hidden)]
pub mod fuzzing;
mod hub;
mod process;
mod sys;
mod websocket;

pub use process::{main, run};
