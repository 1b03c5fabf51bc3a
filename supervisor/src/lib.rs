//! hulld: a small root process that owns state, policy and the API, and runs every driver as a sandboxed plugin.
//!
//! ```text
//! hulld (keeper: reaps, keeps descriptors) ─┬─ hulld --supervisor (API, plugins, state)
//!                                           └─ orphans: containers' inits, services
//! supervisor ── hulld --sandbox ─▶ plugin   (a stage that builds the walls and becomes the plugin)
//! ```
//! One folder a noun of the API, each with the same rooms: `api.rs` (routes to calls), `model.rs` (the thing and its
//! rules), `store.rs` (its SQL), and one file a verb that spans plugins. Start with [`daemon`] and [`hull::Hull`].

mod api;
mod blocking;
mod certificates;
pub mod cgroups;
pub mod daemon;
mod doctor;
mod events;
mod filter;
#[doc(hidden)]
pub mod fuzzing;
mod gates;
mod gateway;
mod handles;
mod hull;
mod images;
mod instances;
pub mod keeper;
mod keyed;
pub mod logging;
mod look;
mod metrics;
mod networks;
mod operations;
mod plans;
pub mod plugins;
mod profiles;
mod projects;
mod recovery;
mod server;
mod state;
mod storage;
mod sys;
mod upgrade;
mod used_by;
mod warnings;
