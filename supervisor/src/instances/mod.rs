//! Instances: what they are, and every verb on them.
//!
//! ```text
//!            create                start                     freeze
//! (nothing) ───────▶ Stopped ───────────────▶ Running ◀────────────────▶ Frozen
//!     ▲     delete     │  ▲                     │                          │
//!     └────────────────┘  └──── settle ◀── its first process ends ──────────┘
//! ```
//! Owns the record of each instance and what is known of the running ones; not how one runs (its driver), nor its files
//! and interfaces (storage and network drivers). At most one verb at a time runs on an instance ([`busy::Busy`]); no
//! verb holds a lock that another instance would need. Wherever an end comes from (a clean stop, a kill, the guest itself,
//! a crash), [`settle`] is what follows: the verbs only cause the end and wait for it.

mod adopt;
mod api;
mod bulk;
mod busy;
mod cgroup;
mod collect;
mod configure;
mod console;
mod create;
mod delete;
mod devices;
mod exec;
mod exec_control;
mod exec_follow;
mod expand;
mod files;
pub(crate) mod fuzzing;
mod given;
mod identity;
mod idmap;
mod limits;
mod logs;
mod model;
mod pet_name;
mod power;
mod registry;
mod rename;
mod settle;
mod start;
mod state;
mod store;
pub(crate) mod validate;

pub(crate) use adopt::{Guards, PLAN_KINDS, adopt_all, guard, plan_objects, plan_points, resume_plans, start_again};
pub(crate) use api::routes;
pub(crate) use collect::collect;
pub(crate) use exec_follow::go_on_with_commands;
pub(crate) use model::{Devices, Record};
pub(crate) use power::stop_all;
pub(crate) use registry::{Entry, Instances};
pub(crate) use state::state as state_of;
