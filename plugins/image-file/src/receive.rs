//! Taking an upload apart. Blocking: runs in a thread of its own.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Poll;

use bytes::Bytes;
use futures::executor::block_on;
use futures::stream;
use hull_plugin::image::ImageSinks;
use hull_plugin::{Code, DriverError};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The body of an HTTP request.
pub(crate) struct Upload {
    input: File,
    max_bytes: u64,
    received: AtomicU64,
}

const BLOCK: usize = 256 << 10;
/// What multipart headers and boundaries may take besides the images.
const ENVELOPE: u64 = 64 << 10;
/// What may come before a part's head is whole: the form's parser keeps it in memory.
const MOST_UNCLAIMED: u64 = ENVELOPE;

impl Upload {
    pub(crate) fn new(input: OwnedFd, max_bytes: u64) -> Self {
        Self { input: File::from(input), max_bytes, received: AtomicU64::new(0) }
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// The next bytes, as many as there are; empty at the end.
    fn next(&self) -> io::Result<Bytes> {
        let mut block = vec![0; BLOCK];
        loop {
            match (&self.input).read(&mut block) {
                Ok(length) => {
                    self.received.fetch_add(length as u64, Relaxed);
                    block.truncate(length);
                    return Ok(block.into());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Until there is something to read: the descriptor may be a non-blocking one.
    fn wait(&self) -> io::Result<()> {
        match poll(&mut [PollFd::new(self.input.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Fills the sinks: `content_type` tells whether the body is one file or a form of two.
pub(crate) fn receive(upload: &Upload, content_type: &str, sinks: ImageSinks) -> Result<(), DriverError> {
    let limit = upload.max_bytes;
    let mut metadata = Sink::new(sinks.metadata.into_owned(), limit);
    let mut rootfs = Sink::new(sinks.rootfs.into_owned(), limit);
    if is_form(content_type) {
        let boundary = multer::parse_boundary(content_type)
            .map_err(|error| corrupt("the upload's multipart form names no boundary").because(error))?;
        block_on(receive_form(upload, boundary, &mut metadata, &mut rootfs))?;
        if metadata.length == 0 || rootfs.length == 0 {
            return Err(corrupt("the upload must have the parts `metadata` and `rootfs`, and neither may be empty"));
        }
        return Ok(());
    }
    loop {
        let block = upload.next().map_err(|error| broken(&error))?;
        if block.is_empty() {
            break;
        }
        metadata.write(&block)?;
    }
    if metadata.length == 0 { Err(corrupt("the upload is empty")) } else { Ok(()) }
}

fn is_form(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("multipart/form-data")
}

async fn receive_form(
    upload: &Upload,
    boundary: String,
    metadata: &mut Sink,
    rootfs: &mut Sink,
) -> Result<(), DriverError> {
    let unclaimed = AtomicU64::new(0);
    let mut given = false;
    // It blocks this thread, and is never ready twice running: the parser keeps all that is ready in memory.
    let blocks = stream::poll_fn(|context| {
        given = !given;
        if !given {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(next_block(upload, &unclaimed).transpose())
    });
    let limits = multer::SizeLimit::new().whole_stream(upload.max_bytes.saturating_add(ENVELOPE));
    let constraints = multer::Constraints::new().size_limit(limits);
    let mut form = multer::Multipart::with_constraints(Box::pin(blocks), boundary, constraints);
    while let Some(mut part) = form.next_field().await.map_err(|error| malformed(upload, &error))? {
        unclaimed.store(0, Relaxed);
        let name = part.name().unwrap_or_default().to_owned();
        let sink = match name.as_str() {
            "metadata" => &mut *metadata,
            "rootfs" | "rootfs.img" => &mut *rootfs,
            _ => return Err(corrupt(format!("the upload has the unknown part `{}`", name.escape_debug()))),
        };
        if sink.length > 0 {
            return Err(corrupt(format!("the upload has the part `{name}` twice")));
        }
        while let Some(block) = part.chunk().await.map_err(|error| malformed(upload, &error))? {
            unclaimed.store(0, Relaxed);
            sink.write(&block)?;
        }
    }
    if metadata.length.saturating_add(rootfs.length) > upload.max_bytes {
        return Err(too_large(upload.max_bytes));
    }
    Ok(())
}

/// The next bytes for the form's parser; `None` at the end.
fn next_block(upload: &Upload, unclaimed: &AtomicU64) -> io::Result<Option<Bytes>> {
    if unclaimed.load(Relaxed) > MOST_UNCLAIMED {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no part of the form begins within 64 KiB"));
    }
    let block = upload.next()?;
    unclaimed.fetch_add(block.len() as u64, Relaxed);
    Ok((!block.is_empty()).then_some(block))
}

/// A file being filled.
struct Sink {
    file: File,
    length: u64,
    limit: u64,
}

impl Sink {
    fn new(fd: OwnedFd, limit: u64) -> Self {
        Self { file: File::from(fd), length: 0, limit }
    }

    fn write(&mut self, block: &[u8]) -> Result<(), DriverError> {
        if self.length.saturating_add(block.len() as u64) > self.limit {
            return Err(too_large(self.limit));
        }
        let written = self.file.write_all_at(block, self.length);
        written.map_err(|error| DriverError::system(&error, "cannot write the uploaded image"))?;
        self.length += block.len() as u64;
        Ok(())
    }
}

fn malformed(upload: &Upload, error: &multer::Error) -> DriverError {
    match error {
        multer::Error::StreamSizeExceeded { .. } => too_large(upload.max_bytes),
        multer::Error::StreamReadFailed(error) if is_invalid(error.as_ref()) => {
            corrupt("the upload's multipart form is malformed").because(error)
        }
        multer::Error::StreamReadFailed(error) => {
            DriverError::new(Code::Unavailable, "the upload broke off").because(error)
        }
        error => corrupt("the upload's multipart form is malformed or cut short").because(error),
    }
}

fn is_invalid(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::InvalidData)
}

fn broken(error: &io::Error) -> DriverError {
    DriverError::new(Code::Unavailable, "the upload broke off").because(error)
}

fn too_large(limit: u64) -> DriverError {
    corrupt(format!("the upload is larger than the allowed {limit} bytes"))
}

fn corrupt(message: impl Into<String>) -> DriverError {
    DriverError::new(Code::Corrupt, message)
}
