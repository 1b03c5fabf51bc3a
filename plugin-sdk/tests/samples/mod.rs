//! One call and one answer of every method, with something in every field.

mod common;
mod declare;
mod image;
mod instance;
mod network;
mod storage;

pub(crate) use common::{host, lifecycle, lifecycle_of_version_two};
pub(crate) use image::image;
pub(crate) use instance::instance;
pub(crate) use network::network;
pub(crate) use storage::storage;

pub(crate) use declare::samples;
