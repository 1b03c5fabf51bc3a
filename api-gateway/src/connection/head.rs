//! The head of a request: strict where two readers could disagree about where a request ends.

use crate::failure::Refusal;

/// The most bytes of a head: with its body inline it must fit a frame of the wire.
pub(crate) const MAX_HEAD: usize = 24 * 1024;
const MAX_HEADERS: usize = 100;

#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) framing: Framing,
    pub(crate) version: Version,
    pub(crate) persistence: Persistence,
    pub(crate) upgrade: Option<String>,
    pub(crate) expects_continue: bool,
}

/// How the end of the request's body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
}

/// What the client wants of the connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    KeepAlive,
    Close,
}

/// Reads a head from the start of `bytes` and says how long it was; `None`: not all of it is there.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Refusal> {
    if !has_end(bytes) {
        return if bytes.len() < MAX_HEAD { Ok(None) } else { Err(too_large()) };
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => {
            Ok(Some((Head::from_parsed(&request)?, length)))
        }
        Ok(httparse::Status::Complete(_)) | Err(httparse::Error::TooManyHeaders) => Err(too_large()),
        Ok(httparse::Status::Partial) => {
            if bytes.len() < MAX_HEAD {
                Ok(None)
            } else {
                Err(too_large())
            }
        }
        Err(error) => Err(Refusal::bad(format!("not an HTTP/1.1 request: {error}"))),
    }
}

impl Head {
    fn from_parsed(request: &httparse::Request) -> Result<Self, Refusal> {
        let version = if request.version == Some(0) { Version::Http10 } else { Version::Http11 };
        let headers: Vec<(String, String)> = request
            .headers
            .iter()
            .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()))
            .collect();
        let framing = framing(&headers, version)?;
        let hosts = values(&headers, "host").count();
        if hosts > 1 || (hosts == 0 && version == Version::Http11) {
            return Err(Refusal::bad("a request has exactly one `Host` header"));
        }
        let persistence = match version {
            _ if has_token(&headers, "connection", "close") => Persistence::Close,
            Version::Http10 if !has_token(&headers, "connection", "keep-alive") => Persistence::Close,
            _ => Persistence::KeepAlive,
        };
        let upgrade = values(&headers, "upgrade").next().map(str::to_ascii_lowercase);
        let upgrade = upgrade.filter(|_| version == Version::Http11 && has_token(&headers, "connection", "upgrade"));
        if upgrade.is_some() && framing != Framing::Length(0) {
            return Err(Refusal::bad("a request that changes the protocol has no body"));
        }
        Ok(Self {
            method: request.method.unwrap_or_default().to_owned(),
            target: origin_form(request.path.unwrap_or_default())?,
            framing,
            version,
            persistence,
            upgrade,
            expects_continue: version == Version::Http11 && has_token(&headers, "expect", "100-continue"),
            headers,
        })
    }

    /// The header's first value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim())
    }
}

/// Whether an empty line has arrived: asked before parsing, so that a head sent byte by byte is parsed once.
fn has_end(bytes: &[u8]) -> bool {
    let leading = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let mut line_empty = false;
    for byte in &bytes[leading..] {
        match byte {
            b'\n' if line_empty => return true,
            b'\n' => line_empty = true,
            b'\r' => {}
            _ => line_empty = false,
        }
    }
    false
}

/// RFC 9112 6.3; whatever could be read in two ways is refused.
fn framing(headers: &[(String, String)], version: Version) -> Result<Framing, Refusal> {
    let mut encodings = values(headers, "transfer-encoding");
    let mut lengths = values(headers, "content-length");
    match (encodings.next(), lengths.next()) {
        (None, None) => Ok(Framing::Length(0)),
        (None, Some(length)) => {
            let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
            match length.parse() {
                Ok(number) if digits && lengths.next().is_none() => Ok(Framing::Length(number)),
                _ => Err(Refusal::bad("`Content-Length` is not one decimal number")),
            }
        }
        (Some(_), Some(_)) => Err(Refusal::bad("a request has `Transfer-Encoding` or `Content-Length`, not both")),
        (Some(_), None) if version == Version::Http10 => Err(Refusal::bad("HTTP/1.0 knows no `Transfer-Encoding`")),
        (Some(encoding), None) if encoding.eq_ignore_ascii_case("chunked") && encodings.next().is_none() => {
            Ok(Framing::Chunked)
        }
        (Some(_), None) => Err(Refusal::new(501, "the only `Transfer-Encoding` supported is `chunked`")),
    }
}

/// `http://host/path` and `/path` mean the same here.
fn origin_form(target: &str) -> Result<String, Refusal> {
    if target.starts_with('/') || target == "*" {
        return Ok(target.to_owned());
    }
    let rest = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://"));
    match rest.map(|rest| rest.find('/').map_or("/", |slash| &rest[slash..])) {
        Some(path) => Ok(path.to_owned()),
        None => Err(Refusal::bad("the request's target is not a path")),
    }
}

fn values<'a>(headers: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.trim())
}

fn has_token(headers: &[(String, String)], name: &str, token: &str) -> bool {
    values(headers, name).flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

fn too_large() -> Refusal {
    Refusal::new(431, format!("the request's head is larger than {MAX_HEAD} bytes or {MAX_HEADERS} headers"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framing_of(lines: &str) -> Result<Framing, u16> {
        let text = format!("POST /1.0 HTTP/1.1\r\nHost: hull\r\n{lines}\r\n");
        parse(text.as_bytes()).map(|head| head.unwrap().0.framing).map_err(|refusal| refusal.status)
    }

    #[test]
    fn ambiguous_ends_are_refused() {
        assert_eq!(framing_of("Content-Length: 12\r\n"), Ok(Framing::Length(12)));
        assert_eq!(framing_of("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
        for smuggled in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 99999999999999999999999\r\n",
            "Content-Length:\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "X: a\r\n Transfer-Encoding: chunked\r\n",
        ] {
            assert_eq!(framing_of(smuggled), Err(400), "{smuggled:?}");
        }
        assert_eq!(framing_of("Transfer-Encoding: gzip, chunked\r\n"), Err(501));
        assert_eq!(framing_of("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), Err(501));
    }

    #[test]
    fn a_head_is_complete_only_with_its_empty_line() {
        let text =
            b"GET http://hull/1.0?a=b HTTP/1.1\r\nHost: hull\r\nUpgrade: WebSocket\r\nConnection: x, Upgrade\r\n\r\n";
        for end in 0..text.len() {
            assert!(parse(&text[..end]).unwrap().is_none());
        }
        let (head, length) = parse(text).unwrap().unwrap();
        assert_eq!(
            (length, head.target.as_str(), head.upgrade.as_deref()),
            (text.len(), "/1.0?a=b", Some("websocket"))
        );
        assert_eq!(parse(&[b'a'; MAX_HEAD]).unwrap_err().status, 431);
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
        }
    }
}
