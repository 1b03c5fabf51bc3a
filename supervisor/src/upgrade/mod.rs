//! Replacing hulld itself while it serves: the supervisor, the gateway, or both.
//!
//! ```text
//! POST /1.0/upgrade ─ check the program ─ name it to the keeper ─ wait for a quiet moment ─ hold the calls ─ leave
//!                                                                                                            │
//!   the operation ends: Success ◀─ another gateway ◀─ calls go on ◀─ ready ◀─ the successor starts ◀─ keeper ◀┘
//!                       Failure ◀─────────────────── this program is started again ◀─ it does not get ready
//! ```
//! The operation is the thread through all of it: a lasting one, begun by this supervisor and ended by the next. Owns when
//! to leave and what is said about it; who is started is the keeper's to decide, and what goes on is each noun's to know.

mod api;
mod gateway;
mod go_on;
mod leave;
mod program;
mod registry;
mod run;

pub(crate) use api::routes;
pub(crate) use go_on::go_on;
pub(crate) use registry::Upgrade;
