//! The event stream: lifecycle, operation and logging events for whoever listens.
//!
//! A listener is one sequenced-packet socket whose other end the gateway bridges to a websocket. A listener that does not
//! keep up loses events rather than delaying anybody, and is told nothing else: LXD's clients expect no gaps to be marked.

mod api;
mod bus;
mod listeners;

pub(crate) use api::{go_on, routes};
pub(crate) use bus::Bus;
