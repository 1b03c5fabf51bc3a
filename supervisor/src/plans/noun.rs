//! The plans of a noun, listed once: what takes them up and what names their boundaries cannot differ.

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

        /// What one of this noun's plans is about; nothing if it is not one.
        pub(crate) fn plan_objects(entry: &crate::state::Entry) -> Vec<String> {
            [$(crate::plans::objects_of::<$plan>(entry)),*].concat()
        }

        /// How the journal calls this noun's plans.
        pub(crate) const PLAN_KINDS: &[&str] = &[$(<$plan as crate::plans::Plan>::KIND),*];
    };
}
pub(crate) use of_noun;
