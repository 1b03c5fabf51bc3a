//! hulld: the supervisor and its keeper.
//!
//! ```text
//! hulld (keeper: reaps, keeps descriptors) ─┬─ hulld --supervisor (API, plugins, state)
//!                                           └─ orphans: containers' inits, services
//! supervisor ── hulld --sandbox ─▶ plugin   (a stage that builds the walls and becomes the plugin)
//! ```
//! Start with [`daemon`].

mod bare;
pub mod cgroups;
pub mod daemon;
pub mod gateway;
pub mod keeper;
pub mod logging;
pub mod plugins;
mod sys;

pub use bare::Bare;
pub use plugins::sandbox_stage;
