//! Plans: work that spans plugins, as named steps with undo, written to the journal before the first effect.
//!
//! ```text
//! journal.begin ─ step 1 ─ step 2 ─ … ─ journal.end (with the result, one transaction)
//!                    ▲────── undo, last step first ──────│ any failure, or a crash of hulld
//! ```
//! Every step *ensures*: it may run again after a crash, and its undo succeeds when the step was never reached. So one
//! durable write before and one after are enough, whatever the number of steps. A plan whose effects cannot be taken back
//! (deleting) is finished after a crash instead of undone.
//!
//! A plan whose end cannot be written (a full disk) is undone as if a step had failed, or, if it deletes, written down later.
//!
//! What cannot be undone or written down now is left ([`Leftovers`]): tried again, and settled before anything newer about the
//! same object.
//!
//! Owns the order and the journal; not what a step does. Read [`Plan`] first; recovery enters at [`resume`].

mod crash;
mod engine;
mod left;
mod noun;

pub(crate) use crash::{announce, points};
pub(crate) use engine::{AfterCrash, Plan, execute, objects_of, resume};
pub(crate) use left::{Leftover, Leftovers, settle, settle_about};
pub(crate) use noun::of_noun;
