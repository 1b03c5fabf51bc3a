//! What strangers send, parsed without a connection: for the fuzz targets.

use crate::connection::body::{Body, Step};
use crate::connection::{Inbox, head};
use crate::websocket::{Received, Receiver};

/// A request's method, target and headers, and the content of its body.
pub type Request = (String, String, Vec<(String, String)>, Vec<u8>);

/// Reads requests until the bytes end or are refused, as a connection does that gets them in pieces of `piece` bytes.
pub fn requests(mut bytes: &[u8], piece: usize) -> Vec<Request> {
    let mut requests = Vec::new();
    let mut received = 0;
    loop {
        received = (received + piece.max(1)).min(bytes.len());
        match head::parse(&bytes[..received]) {
            Ok(Some((head, length))) => {
                let accepted = crate::websocket::accept_key(&head);
                assert!(accepted.is_err() || head.method == "GET", "a websocket is opened with GET");
                bytes = &bytes[length..];
                let Some((content, used)) = content(&head, bytes, piece) else { return requests };
                bytes = &bytes[used..];
                received = 0;
                requests.push((head.method, head.target, head.headers, content));
            }
            Ok(None) if received < bytes.len() => {}
            Ok(None) | Err(_) => return requests,
        }
    }
}

/// A body's content and how many bytes it took; `None`: refused, or not all there.
fn content(head: &head::Head, bytes: &[u8], piece: usize) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut content, mut used) = (Body::new(head.framing), Vec::new(), 0);
    let mut received = 0;
    loop {
        match body.step(&bytes[used..received]).ok()? {
            Step::Framing(length) => used += length,
            Step::Content(length) => {
                content.extend_from_slice(&bytes[used..used + length]);
                used += length;
                body.consumed(length);
            }
            Step::More if received == bytes.len() => return None,
            Step::More => received = (received + piece.max(1)).min(bytes.len()),
            Step::End => return Some((content, used)),
        }
    }
}

/// Reads a websocket until the bytes end or break the protocol: the content of its messages together, and its pings.
pub fn websocket(bytes: &[u8], piece: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut inbox, mut receiver) = (Inbox::default(), Receiver::default());
    let (mut content, mut pings) = (Vec::new(), Vec::new());
    let mut pieces = bytes.chunks(piece.max(1));
    loop {
        match receiver.next(&mut inbox) {
            Ok(Received::More) => match pieces.next() {
                Some(piece) => inbox.append(piece),
                None => return (content, pings),
            },
            Ok(Received::Content { length, .. }) => {
                content.extend_from_slice(&inbox.filled()[..length]);
                inbox.consume(length);
            }
            Ok(Received::Ping(ping)) => pings.push(ping),
            Ok(Received::Close(_)) | Err(_) => return (content, pings),
        }
    }
}
