//! RFC 6455, the server's side: handshake, frames, and the bridges to what hulld hands over.

mod bridge;
mod frame;
mod handshake;
mod outbox;
mod receiver;

pub(crate) use bridge::{bridge_messages, bridge_stream, bridge_terminal};
pub(crate) use handshake::accept_key;
pub(crate) use receiver::{Received, Receiver};
