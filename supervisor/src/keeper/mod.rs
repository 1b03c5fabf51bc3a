//! The keeper: the small process that outlives the supervisor.
//!
//! ```text
//! keeper ──starts, restarts──▶ supervisor        keeper ◀─re-parented─ inits, services, gateways
//!    └── descriptors under keys, statuses of the dead ──┘ (one SEQPACKET socket, fd 3 of the supervisor)
//! ```
//! Owns the descriptor store and the children that nobody else waits for; decides nothing and parses nothing but its own
//! fixed messages. A supervisor may name the program that succeeds it; one that does not get ready is replaced by the
//! program before it ([`succession`]). Single-threaded, no async. Invariant: a descriptor stays stored until it is discarded, whatever
//! happens to the supervisor. [`main`] is the process; the supervisor's end is [`KeeperClient`].

mod client;
mod message;
mod notify;
mod run;
mod store;
mod succession;
mod trim;

pub(crate) use client::ended;
pub use client::{Exited, KeeperClient, Shutdown, Verdict};
pub(crate) use message::reread;
pub use run::{LEAVES, SUPERVISOR_FD, main};
pub use store::in_thread;
