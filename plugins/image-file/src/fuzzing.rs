//! An upload taken apart without a driver: for the fuzz targets.

use std::fs::File;
use std::os::fd::OwnedFd;

use hull_plugin::DriverError;
use hull_plugin::image::ImageSinks;

use crate::receive::{Upload, receive};

/// Fills the two files from `body`; see [`hull_plugin::image::ImageSource::receive`].
///
/// # Errors
/// The upload is malformed or too large.
pub fn take_apart(
    body: File,
    content_type: &str,
    max_bytes: u64,
    [metadata, rootfs]: [File; 2],
) -> Result<(), DriverError> {
    let upload = Upload::new(OwnedFd::from(body), max_bytes);
    let sinks = ImageSinks { metadata: OwnedFd::from(metadata).into(), rootfs: OwnedFd::from(rootfs).into() };
    receive(&upload, content_type, sinks)
}
