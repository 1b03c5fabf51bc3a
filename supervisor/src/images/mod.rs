//! Images: files that instances are made from, their aliases, and where they come from.
//!
//! ```text
//! upload ─ receive ─┐
//!                   ├─ inspect ─ place (journalled) ─▶ image ─ unpack (journalled, once a pool) ─▶ volume image/FINGERPRINT
//! remote ─ fetch  ──┘
//! ```
//! Owns the records, the files in `HULL_DIR/images` and their volumes; reads no byte of an image itself (the image drivers
//! do, [`hull_plugin::image`]). Invariant: a file has a row and a row has its files; what a crash leaves over is swept when the
//! daemon starts. Start with [`Images`]; instances come in by [`Images::obtain`].

mod alias;
mod alias_api;
mod api;
mod change;
mod delete;
mod export;
mod files;
mod flight;
mod import;
mod model;
mod obtain;
mod post;
mod progress;
mod pull;
mod refresh;
mod registry;
mod resume;
mod store;
mod unpack;
mod upload;

pub(crate) use api::routes;
pub(crate) use registry::Images;
pub(crate) use resume::{PLAN_KINDS, plan_objects, plan_points, resume_plans};
