//! Warnings: what the administrator should know, for as long as it is true and a day longer.
//!
//! ```text
//! raise ─▶ new ──(acknowledge)──▶ acknowledged
//!            │ ▲ raised again           │
//!            ▼ │                        ▼
//!          resolved ◀── it works again ─┘ ──▶ forgotten after a day
//! ```
//! One warning for each type and object: raised again, it counts. Whoever finds that something does not work raises one
//! and goes on; nobody waits for the disk. Owns the warnings; not what is done about them. Start with [`Warnings::raise`].

mod api;
mod model;
mod notice;
mod registry;
mod store;

pub(crate) use api::routes;
pub(crate) use model::Kind;
pub(crate) use notice::of_plugin;
pub(crate) use registry::Warnings;
