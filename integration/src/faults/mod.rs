//! The fault campaign: every method of every contract goes wrong in every way, before, while and after it works, and
//! nobody but its caller may notice.
//!
//! ```text
//!  hulld ═══ adversary ═══ real driver      an order makes the adversary misbehave at one call, once
//!    ╚═══ instance `web`: a pulse every 10 ms, an open exec, a list every 100 ms: none of them may miss a beat
//! ```
//! A [`Cell`] is one method, phase and fault. Start with [`Campaign::run`]; the table from methods to requests that reach
//! them is in [`scenario`]. A second, undisturbed host beside it tells what the machine itself is to blame for.

mod campaign;
mod cell;
mod control;
mod fixture;
mod hostile;
mod inventory;
mod pulse;
mod report;
mod scenario;
mod stuck;
mod watch;

pub use campaign::{Campaign, Options};
pub use cell::{Cell, Selection};
pub use report::Report;
