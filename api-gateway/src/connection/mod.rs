//! One client: requests in, answers out, until either side ends it.
//!
//! ```text
//!        ┌──────────────── keep-alive ────────────────┐
//! head ──┴─▶ body: whole (small) ──▶ call ──▶ reply ──┴──▶ closed
//!   │        body: pipe (large, pumped meanwhile)  │
//!   └─▶ refusal: reply, close                      └─▶ upgrade: websocket or raw bytes
//! ```
//! Memory is bounded per connection and given back while the client is silent; [`patience`] bounds how long it may be.

pub(crate) mod body;
mod exchange;
pub(crate) mod head;
mod inbox;
mod patience;
mod raw;
mod reply;
mod serve;
mod transfer;
mod upload;

pub(crate) use head::Head;
pub(crate) use inbox::Inbox;
pub(crate) use serve::serve;
