//! Speaking to a server: HTTP and websockets over its Unix socket.
//!
//! [`Server`] is one remote in one project and has a method per kind of request; [`Exchange`] is one request on the wire.

mod error;
mod exchange;
mod server;
mod socket;
mod wait;

pub(crate) use error::ApiError;
pub(crate) use exchange::{Exchange, body_of, empty};
pub(crate) use server::{Server, accepted, url};
pub(crate) use socket::{Receiver, Sender, Socket};
pub(crate) use wait::{Waiting, wait};
