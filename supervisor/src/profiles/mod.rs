//! Profiles: configuration and devices that instances share.
//!
//! Owns their records and their rules; not what a key or device means (`instances/validate.rs`). Invariant: `default` always
//! exists. A change is durable before it is visible, and instances hear of it afterwards.

mod api;
mod change;
mod model;
mod registry;
mod store;

pub(crate) use api::routes;
pub(crate) use model::Profile;
pub(crate) use registry::Profiles;
