//! An image source.

use std::sync::Arc;

use hull_plugin::image::{ImageFacts, ImageQuery, ImageSinks, SourceImage};
use hull_plugin::{FileFd, MemoryFd, OperationId, StreamFd};

use super::declare::{BULK, ONCE, SLOW, driver_handle};
use crate::plugins::process::Process;

/// Where images come from, and what reads image files.
#[derive(Clone)]
pub struct ImageHandle {
    pub(crate) process: Arc<Process>,
}

driver_handle! {
    ImageHandle, image {
        resolve(query: &ImageQuery) -> SourceImage, SLOW;
        list(server: &str) -> MemoryFd, SLOW;
        fetch(op: &OperationId, query: &ImageQuery, image: &SourceImage, sinks: &ImageSinks) -> (), BULK;
        receive(
            op: &OperationId,
            upload: &StreamFd,
            content_type: &str,
            max_bytes: u64,
            sinks: &ImageSinks
        ) -> (), ONCE;
        inspect(metadata: &FileFd, rootfs: &Option<FileFd>) -> ImageFacts, BULK;
    }
}
