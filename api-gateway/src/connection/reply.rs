//! Answers on the wire.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::time::{Duration, SystemTime};

use crate::connection::head::{Head, Persistence, Version};
use crate::connection::transfer::send_file;
use crate::descriptor::Descriptor;
use hull_gateway_contract::{Piece, ReplyBody};

const CHUNK: usize = 128 * 1024;

/// What of the request and of the moment decides how the answer is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) version: Version,
    pub(crate) persistence: Persistence,
    pub(crate) content: Content,
}

/// Whether the answer's content is sent: not for `HEAD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Sent,
    Withheld,
}

impl Manner {
    pub(crate) fn of(head: &Head) -> Self {
        let content = if head.method == "HEAD" { Content::Withheld } else { Content::Sent };
        Self { version: head.version, persistence: head.persistence, content }
    }

    /// For answers to what could not be understood.
    pub(crate) fn last() -> Self {
        Self { version: Version::Http11, persistence: Persistence::Close, content: Content::Sent }
    }

    pub(crate) fn closing(self) -> Self {
        Self { persistence: Persistence::Close, ..self }
    }
}

/// How the client learns where the content ends.
#[derive(Clone, Copy)]
enum End {
    Length(u64),
    Chunked,
    Closing,
    /// There is none, and no length is stated.
    None,
}

/// Writes an answer; returns what is to become of the connection.
///
/// # Errors
/// The client is gone, or the content ended early: the connection cannot be used again.
pub(crate) async fn write(
    socket: &Descriptor,
    manner: Manner,
    status: u16,
    headers: &[(String, String)],
    body: ReplyBody,
) -> io::Result<Persistence> {
    let bodiless = matches!(status, 100..=199 | 204 | 304);
    let end = match &body {
        _ if bodiless => End::None,
        // hulld may answer HEAD with a length and no content.
        ReplyBody::Inline(content) if content.is_empty() && manner.content == Content::Withheld => {
            let stated = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            End::Length(stated.and_then(|(_, value)| value.parse().ok()).unwrap_or(0))
        }
        ReplyBody::Inline(content) => End::Length(content.len() as u64),
        ReplyBody::File { length, .. } => End::Length(*length),
        ReplyBody::Pieces(pieces) => End::Length(pieces.iter().map(Piece::length).sum()),
        ReplyBody::Stream(_) if manner.version == Version::Http10 => End::Closing,
        ReplyBody::Stream(_) => End::Chunked,
        ReplyBody::Sink { .. } | ReplyBody::Upgrade(_) => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let manner = if matches!(end, End::Closing) { manner.closing() } else { manner };
    let head = head(manner, status, headers, end);
    let silent = bodiless || manner.content == Content::Withheld;
    match body {
        _ if silent => socket.write_all(&head).await?,
        ReplyBody::File { file, start, length } => {
            socket.write_all(&head).await?;
            send_file(socket, file.into_owned(), start, length).await?;
        }
        ReplyBody::Pieces(pieces) => {
            socket.write_all(&head).await?;
            for piece in pieces {
                match piece {
                    Piece::Bytes(bytes) => socket.write_all(&bytes).await?,
                    Piece::File { file, length } => send_file(socket, file.into_owned(), 0, length).await?,
                }
            }
        }
        ReplyBody::Stream(stream) => {
            socket.write_all(&head).await?;
            copy(socket, &Descriptor::new(stream.into_owned())?, end).await?;
        }
        ReplyBody::Inline(content) => socket.write_slices(&mut [IoSlice::new(&head), IoSlice::new(&content)]).await?,
        ReplyBody::Sink { .. } | ReplyBody::Upgrade(_) => {}
    }
    Ok(manner.persistence)
}

/// The head of `101 Switching Protocols`.
pub(crate) fn switching(protocol: &str, headers: &[(String, String)]) -> Vec<u8> {
    let mut text =
        format!("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: {protocol}\r\n").into_bytes();
    extend(&mut text, headers);
    text.extend_from_slice(b"\r\n");
    text
}

async fn copy(socket: &Descriptor, stream: &Descriptor, end: End) -> io::Result<()> {
    tokio::select! {
        ready = stream.readable() => ready?,
        () = socket.gone() => return Err(io::ErrorKind::ConnectionReset.into()),
    }
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = tokio::select! {
            length = stream.read(&mut buffer) => length?,
            () = socket.gone() => return Err(io::ErrorKind::ConnectionReset.into()),
        };
        let content = &buffer[..length];
        if matches!(end, End::Chunked) {
            let size = format!("{length:x}\r\n");
            let mut slices = [IoSlice::new(size.as_bytes()), IoSlice::new(content), IoSlice::new(b"\r\n")];
            socket.write_slices(&mut slices).await?;
        } else {
            socket.write_all(content).await?;
        }
        if length == 0 {
            return Ok(());
        }
        if length == CHUNK {
            tokio::task::yield_now().await;
        }
    }
}

fn head(manner: Manner, status: u16, headers: &[(String, String)], end: End) -> Vec<u8> {
    use std::io::Write;
    let mut text = Vec::with_capacity(256);
    let code = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    // Writing to a vector does not fail.
    let _ = write!(text, "HTTP/1.1 {} {}\r\n", code.as_u16(), code.canonical_reason().unwrap_or("Unknown"));
    DATE.with_borrow_mut(|date| text.extend_from_slice(date.line().as_bytes()));
    extend(&mut text, headers);
    match end {
        End::Length(length) => drop(write!(text, "content-length: {length}\r\n")),
        End::Chunked => text.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        End::Closing | End::None => {}
    }
    match (manner.persistence, manner.version) {
        (Persistence::Close, _) => text.extend_from_slice(b"connection: close\r\n"),
        (Persistence::KeepAlive, Version::Http10) => text.extend_from_slice(b"connection: keep-alive\r\n"),
        (Persistence::KeepAlive, Version::Http11) => {}
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// Adds hulld's headers, but those that are the gateway's business and those that would break the answer apart.
fn extend(text: &mut Vec<u8>, headers: &[(String, String)]) {
    const OWN: [&str; 6] = ["connection", "content-length", "transfer-encoding", "upgrade", "keep-alive", "date"];
    for (name, value) in headers {
        let clean = http::HeaderName::from_bytes(name.as_bytes()).is_ok() && http::HeaderValue::from_str(value).is_ok();
        if !clean {
            tracing::warn!(name, "a header of an answer is malformed and left out");
        } else if !OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                text.extend_from_slice(part);
            }
        }
    }
}

thread_local! {
    static DATE: RefCell<Date> = const { RefCell::new(Date { second: 0, line: String::new() }) };
}

/// The `date` header of the current second.
struct Date {
    second: u64,
    line: String,
}

impl Date {
    fn line(&mut self) -> &str {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        if now != self.second || self.line.is_empty() {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
            *self = Self { second: now, line: format!("date: {}\r\n", httpdate::fmt_http_date(time)) };
        }
        &self.line
    }
}
