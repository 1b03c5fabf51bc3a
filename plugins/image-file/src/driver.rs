//! The contract's methods.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hull_image_format::Meter;
use hull_plugin::image::{ImageFacts, ImageQuery, ImageSinks, ImageSource, SourceImage};
use hull_plugin::{
    Code, Context, Description, Driver, DriverError, FileFd, HostHandle, MemoryFd, OperationId, Progress, StreamFd,
    caller_left,
};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::inspect::inspect;
use crate::receive::{Upload, receive};

#[derive(Clone)]
pub(crate) struct FileSource(Rc<Inner>);

struct Inner {
    host: HostHandle,
    /// Uploads wait for their senders: many may be open at a time.
    uploads: Semaphore,
    /// Inspections need processor and memory (up to 128 MiB each for xz): one after another beyond these.
    inspections: Semaphore,
}

const UPLOADS: usize = 64;
const INSPECTIONS: usize = 2;
const REPORT_EVERY: Duration = Duration::from_millis(100);

impl FileSource {
    pub(crate) fn new(host: HostHandle) -> Self {
        let (uploads, inspections) = (Semaphore::new(UPLOADS), Semaphore::new(INSPECTIONS));
        Self(Rc::new(Inner { host, uploads, inspections }))
    }

    async fn off_the_loop<T: Send + 'static>(
        &self,
        bound: &Semaphore,
        work: impl FnOnce() -> Result<T, DriverError> + Send + 'static,
    ) -> Result<T, DriverError> {
        let _permit = bound.acquire().await.map_err(|error| DriverError::internal(error.to_string()))?;
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(DriverError::internal("the work ended early").because(error)))
    }

    async fn report(&self, op: &OperationId, upload: &Upload) -> std::convert::Infallible {
        let start = Instant::now();
        let mut ticks = interval_at(start + REPORT_EVERY, REPORT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let received = upload.received();
            let speed = (received as f64 / start.elapsed().as_secs_f64()) as u64;
            let progress =
                Progress { stage: "receive".into(), percent: None, processed: Some(received), speed: Some(speed) };
            self.0.host.progress(op, progress).await;
        }
    }
}

impl Driver for FileSource {
    fn describe(&self) -> Description {
        Description {
            driver: "file".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            capabilities: vec!["inspect".into()],
            ..Description::default()
        }
    }
}

impl ImageSource for FileSource {
    async fn resolve(self, _: Context, _query: ImageQuery) -> Result<SourceImage, DriverError> {
        Err(no_source())
    }

    async fn list(self, _: Context, _server: String) -> Result<MemoryFd, DriverError> {
        Err(no_source())
    }

    async fn fetch(
        self,
        _: Context,
        _op: OperationId,
        _query: ImageQuery,
        _image: SourceImage,
        _sinks: ImageSinks,
    ) -> Result<(), DriverError> {
        Err(no_source())
    }

    async fn receive(
        self,
        _: Context,
        op: OperationId,
        upload: StreamFd,
        content_type: String,
        max_bytes: u64,
        sinks: ImageSinks,
    ) -> Result<(), DriverError> {
        let upload = Arc::new(Upload::new(upload.into_owned(), max_bytes));
        let reader = upload.clone();
        let work = self.off_the_loop(&self.0.uploads, move || receive(&reader, &content_type, sinks));
        tokio::select! {
            result = work => result,
            never = self.report(&op, &upload) => match never {},
        }
    }

    async fn inspect(self, _: Context, metadata: FileFd, rootfs: Option<FileFd>) -> Result<ImageFacts, DriverError> {
        let meter = Arc::new(Meter::default());
        let at_work = meter.clone();
        let work = self.off_the_loop(&self.0.inspections, move || inspect(metadata, rootfs, &at_work));
        let mut work = std::pin::pin!(work);
        tokio::select! {
            result = &mut work => return result,
            () = caller_left() => meter.cancel(),
        }
        work.await // its place is free for others when it has really ended
    }
}

fn no_source() -> DriverError {
    DriverError::new(Code::Unsupported, "the image source `file` has no images of its own: it only takes uploads")
}
