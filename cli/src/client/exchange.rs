//! One HTTP request and its answer on a connection of its own. The connection lives as long as the answer is read.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::path::Path;
use tokio::io::AsyncRead;
use tokio::net::UnixStream;
use tokio_util::io::ReaderStream;
use tokio_util::task::AbortOnDropHandle;

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

/// An answer whose body is still on the wire. Dropping it closes the connection.
pub(crate) struct Exchange {
    pub(crate) parts: http::response::Parts,
    pub(crate) body: Incoming,
    _connection: AbortOnDropHandle<()>,
}

impl Exchange {
    /// Sends `request` to the server that listens at `socket` and waits for the head of the answer.
    pub(crate) async fn send(socket: &Path, request: http::Request<Body>) -> Result<Self> {
        let stream = connect(socket).await?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(512 * 1024)
            .handshake(TokioIo::new(stream))
            .await
            .context("the server did not speak HTTP")?;
        let driver = AbortOnDropHandle::new(tokio::spawn(async move {
            // A broken connection is reported by the request that was using it.
            let _ = connection.await;
        }));
        let answer =
            sender.send_request(request).await.context("the server closed the connection without an answer")?;
        let (parts, body) = answer.into_parts();
        Ok(Self { parts, body, _connection: driver })
    }

    /// Reads the rest of the answer into memory.
    pub(crate) async fn bytes(self) -> Result<Bytes> {
        read_all(self.body).await
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

pub(crate) async fn read_all(body: Incoming) -> Result<Bytes> {
    Ok(body.collect().await.context("the answer broke off")?.to_bytes())
}

pub(crate) async fn connect(socket: &Path) -> Result<UnixStream> {
    UnixStream::connect(socket).await.map_err(|error| {
        let reason = match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => "connect: connection refused".to_owned(),
            Some(libc::ENOENT) => "connect: no such file or directory".to_owned(),
            Some(libc::EACCES) => "connect: permission denied".to_owned(),
            _ => error.to_string(),
        };
        anyhow::anyhow!(
            "cannot reach the server at `{}`: {reason}\nhint: is the daemon running, and are you root or in its group?",
            socket.display()
        )
    })
}

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A body that is read from `source` while it is sent.
pub(crate) fn body_of(source: impl AsyncRead + Send + Sync + 'static) -> Body {
    BodyExt::boxed(StreamBody::new(ReaderStream::with_capacity(source, 256 * 1024).map(|chunk| chunk.map(Frame::data))))
}
