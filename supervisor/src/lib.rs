//! hulld: a small root process that owns state, policy and the API, and runs every driver as a sandboxed plugin.
//!
//! One folder a noun of the API, each with the same rooms: `api.rs` (routes to calls), `model.rs` (the thing and its
//! rules), `store.rs` (its SQL), and one file a verb that spans plugins. Start with [`hull::Hull`].

mod api;
mod certificates;
mod events;
mod filter;
mod hull;
mod images;
mod instances;
mod networks;
mod operations;
mod plans;
mod profiles;
mod projects;
mod server;
mod state;
mod storage;
mod sys;
mod used_by;
mod warnings;
