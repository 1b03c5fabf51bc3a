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
//! Owns the order and the journal; not what a step does. Read [`Plan`] first; recovery enters at [`resume`].

mod crash;
mod engine;

pub(crate) use crash::{announce, points};
pub(crate) use engine::{AfterCrash, Plan, execute, resume};

/// The plans of a noun, from one list: `resume_plans` takes one of them up, `plan_points` says what their boundaries are.
macro_rules! of_noun {
    ($($plan:ty),* $(,)?) => {
        /// Takes up one of this noun's plans; `false` if it is not one.
        pub(crate) async fn resume_plans(
            entry: &crate::state::Entry,
            hull: &crate::hull::Hull,
        ) -> Result<bool, crate::api::ApiError> {
            Ok(false $(|| crate::plans::resume::<$plan>(entry, hull).await?)*)
        }

        /// The boundaries of this noun's plans.
        pub(crate) fn plan_points() -> Vec<String> {
            [$(crate::plans::points::<$plan>()),*].concat()
        }

        /// How the journal calls this noun's plans.
        pub(crate) const PLAN_KINDS: &[&str] = &[$(<$plan as crate::plans::Plan>::KIND),*];
    };
}
pub(crate) use of_noun;
