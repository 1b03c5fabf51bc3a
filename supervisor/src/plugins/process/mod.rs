//! One plugin process: started on first need, greeted, given its handles back, watched, restarted.
//!
//! [`owner`] is the one task that holds the process and applies [`state::step`]; everybody else has a [`Process`] and calls
//! through it ([`call`]). Invariant: a [`session::Session`] stands for exactly one operating system process, and is cancelled
//! when that process is gone. It is replaced without a gap: [`upgrade`] starts a successor beside it, [`succession`] decides, and
//! [`retire`] lets the old one finish its calls. Start with [`call`].

mod call;
mod greet;
mod handle;
mod output;
mod owner;
mod queue;
mod retire;
mod sane;
mod session;
mod state;
mod steady;
mod succession;
mod upgrade;

pub(crate) use call::{Deadline, Method};
pub(crate) use handle::{Installed, Process, ProcessName, Spec, Status};
pub(crate) use output::{Output, printable};
pub(crate) use queue::Bounds;
pub(crate) use session::Heartbeat;
