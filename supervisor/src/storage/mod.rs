//! Storage pools and their volumes.
//!
//! Owns which pools and volumes there are, and which driver process serves a pool; not how a driver keeps a volume. A pool
//! whose driver or place is missing keeps its record and says so; it never delays the others. Volumes of instances and images
//! are written by those nouns' plans ([`insert_volume`], [`delete_volume`]) and announced here
//! ([`Storage::volume_added`]); custom volumes are made here. Start with [`Storage`].

mod api;
mod change;
mod collect;
mod create;
mod custom;
mod delete;
mod load;
mod model;
mod mount;
mod registry;
mod removal;
mod resume;
mod store;
mod validate;
mod volumes_api;

pub(crate) use api::routes;
pub(crate) use collect::collect;
pub(crate) use model::VolumeRow;
pub(crate) use registry::Storage;
pub(crate) use removal::{remove_recorded, rename_back, unmake_volume};
pub(crate) use resume::{PLAN_KINDS, plan_objects, plan_points, resume_plans};
pub(crate) use store::{delete_volume, insert_volume, rename_volume};
