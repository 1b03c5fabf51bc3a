//! Volumes: what is in one, and the verbs on them. All functions here block; the driver calls them off the event loop.

mod create;
mod delete;
mod reconcile;
mod record;
mod rename;
mod usage;

pub(crate) use create::{Filling, create};
pub(crate) use delete::delete;
pub(crate) use reconcile::{Unknown, reconcile};
pub(crate) use record::Layout;
pub(crate) use rename::rename;
pub(crate) use usage::usage;
