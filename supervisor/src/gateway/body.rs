//! Request bodies that are too large for a message.

use std::io;

use hull_wire::StreamFd;

use super::answer::Arriving;
use crate::sys::read_pipe;

/// A body that the gateway writes into a pipe while the request is handled. Taken from the request's extensions; dropped,
/// the rest of the body is thrown away.
pub(crate) struct UploadStream {
    pub(crate) stream: StreamFd,
    /// As the client announced it.
    pub(crate) length: Option<u64>,
    pub(crate) arriving: Arriving,
}

impl UploadStream {
    /// All of a document, at most `limit` bytes.
    pub(crate) async fn read_document(self, limit: u64) -> io::Result<Vec<u8>> {
        let too_long = || io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {limit} bytes"));
        if self.length.is_some_and(|length| length > limit) {
            return Err(too_long());
        }
        let bytes = read_pipe(self.stream.into_owned(), limit + 1).await?;
        if bytes.len() as u64 > limit { Err(too_long()) } else { Ok(bytes) }
    }
}
