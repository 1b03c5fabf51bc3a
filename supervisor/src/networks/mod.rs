//! Networks: those Hull manages, and the host's interfaces as far as they are shown.
//!
//! Owns which networks there are and whether each is up; not how a driver makes one, nor the NICs in it (instances). A
//! network that cannot be brought up keeps its record, says why, and is tried again and again. Start with
//! [`Networks`]; [`keep_up`] brings everything up when the daemon starts.

mod api;
mod change;
mod collect;
mod create;
mod delete;
mod drivers;
mod ensure;
mod model;
mod registry;
mod rename;
mod resume;
mod store;
mod validate;

pub(crate) use api::routes;
pub(crate) use collect::collect;
pub(crate) use ensure::keep_up;
pub(crate) use registry::Networks;
pub(crate) use resume::{PLAN_KINDS, plan_objects, plan_points, resume_plans};
