//! Cutting plans: hulld is killed at a boundary of a plan, or at any moment, and what is there afterwards must be whole.
//!
//! ```text
//! scenario: ready ─▶ change ─✂─▶ another supervisor answers ─▶ whole? ─▶ undone, for the next
//! ```
//! Which boundaries there are is hulld's own word (its `HULL_CRASH_POINTS` facility), so that a new plan joins by itself: one
//! that no [`scenario`] drives fails the campaign. Start with [`Campaign`].

mod campaign;
mod scenario;
mod whole;

pub use campaign::{Campaign, Report};
pub(crate) use whole::assert_whole;
