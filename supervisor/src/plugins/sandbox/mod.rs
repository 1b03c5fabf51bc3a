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
mod rights;
mod root;
mod seccomp;
mod spawn;
mod stage;

pub use stage::main as stage_main;

pub(crate) use build::{gateway_plan, service_plan};
pub(crate) use spawn::{
    Child, Sockets, SpawnError, Target, bury, predecessors, spawn, spawn_plugin, user_namespace_key,
};
