//! The walls around a plugin, a service or the gateway: exactly what its manifest asks for, and nothing else.
//!
//! ```text
//! hulld ─posix_spawn▶ hulld --sandbox (stage) ─clone▶ child: mounts, pivot, ids, capabilities, landlock, seccomp ─exec▶ program
//!                        └─ writes the id maps, reports the child's pid and pidfd, ends
//! ```
//! hulld turns a manifest into a [`Plan`] ([`build`]), the single-threaded stage carries it out ([`stage`]): hulld itself,
//! which has threads, never forks. Invariant: what is not in the plan is not there. Read [`plan`] first.

mod build;
mod ids;
mod plan;
mod refusals;
mod rights;
mod root;
mod seccomp;
mod spawn;
mod stage;
mod trial;

pub use stage::main as stage_main;
pub use trial::{Outcome, Trial, Walls};

pub(crate) use build::{gateway_plan, service_plan};
pub(crate) use ids::{instance_range, instance_range_in};
pub(crate) use refusals::Refusals;
pub(crate) use spawn::{
    Child, Slot, Sockets, SpawnError, Target, forget_ended_processes, forget_plugin, free_slot, remove_groups, spawn,
    spawn_plugin, tidy_groups, user_namespace_key,
};
