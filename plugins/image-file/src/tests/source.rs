//! A driver with two empty files for it to fill.

use std::fs::{self, File};
use std::io::{PipeWriter, Write};
use std::path::PathBuf;

use hull_plugin::image::{ImageSinks, ImageSourceClient};
use hull_plugin::testing::{self, Harness, context};
use hull_plugin::{DriverError, FileFd, OperationId, StreamFd};
use tempfile::TempDir;

use crate::driver::FileSource;

pub(super) struct TestSource {
    pub(super) place: TempDir,
    pub(super) harness: Harness<ImageSourceClient>,
}

pub(super) fn with_source(test: impl AsyncFnOnce(&TestSource)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let harness = testing::image(FileSource::new).unwrap();
        test(&TestSource { place: tempfile::tempdir().unwrap(), harness }).await;
    });
}

impl TestSource {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(super) fn open(&self, name: &str) -> FileFd {
        FileFd::new(File::open(self.path(name)).unwrap())
    }

    /// What `receive` made of an upload: metadata and root file system.
    pub(super) async fn receive(
        &self,
        content_type: &str,
        max_bytes: u64,
        send: impl FnOnce(PipeWriter) + Send + 'static,
    ) -> Result<(Vec<u8>, Vec<u8>), DriverError> {
        let (reader, writer) = std::io::pipe().unwrap();
        let sender = std::thread::spawn(move || send(writer));
        let sink = |name: &str| FileFd::new(File::create(self.path(name)).unwrap());
        let sinks = ImageSinks { metadata: sink("metadata"), rootfs: sink("rootfs") };
        let (op, upload) = (OperationId::random(), StreamFd::new(reader));
        let driver = &self.harness.driver;
        let result = driver.receive(context(), op, upload, content_type.into(), max_bytes, sinks).await.unwrap();
        sender.join().unwrap();
        result.map(|()| (fs::read(self.path("metadata")).unwrap(), fs::read(self.path("rootfs")).unwrap()))
    }
}

/// Sends what the driver takes; it may stop reading.
pub(super) fn all(content: Vec<u8>) -> impl FnOnce(PipeWriter) + Send + 'static {
    move |mut pipe| drop(pipe.write_all(&content))
}
