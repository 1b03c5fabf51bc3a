//! The opening handshake.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest, Sha1};

use crate::connection::Head;
use crate::failure::Refusal;

const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455 1.3

/// The `Sec-WebSocket-Accept` for a request.
pub(crate) fn accept_key(head: &Head) -> Result<String, Refusal> {
    if head.method != "GET" {
        return Err(Refusal::bad("a websocket is opened with GET"));
    }
    if head.header("sec-websocket-version") != Some("13") {
        return Err(Refusal::new(426, "the only version of websockets supported is 13"));
    }
    let key = head.header("sec-websocket-key").unwrap_or_default();
    if BASE64_STANDARD.decode(key).map_or(0, |nonce| nonce.len()) != 16 {
        return Err(Refusal::bad("`Sec-WebSocket-Key` is not 16 bytes in base64"));
    }
    Ok(accept(key))
}

fn accept(key: &str) -> String {
    BASE64_STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    #[test]
    fn answers_as_the_rfc_does() {
        assert_eq!(super::accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
