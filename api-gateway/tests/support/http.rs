//! A small blocking HTTP client that shows what is on the wire.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub(crate) struct Client {
    pub(crate) reader: BufReader<UnixStream>,
    pub(crate) writer: UnixStream,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// The head of a request without content.
pub(crate) fn request(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: hull\r\n\r\n")
}

impl Client {
    pub(crate) fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { writer: stream.try_clone().unwrap(), reader: BufReader::with_capacity(256 * 1024, stream) }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.writer.write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn get(&mut self, target: &str) -> Reply {
        self.send(request("GET", target));
        self.reply()
    }

    /// Reads an answer with its content.
    pub(crate) fn reply(&mut self) -> Reply {
        let mut reply = self.head();
        self.content(&reply).read_to_end(&mut reply.body).unwrap();
        reply
    }

    pub(crate) fn head(&mut self) -> Reply {
        let line = self.line();
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no status line: {line:?}")).parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else {
                assert_eq!(line, "", "the head ends with an empty line");
                return Reply { status, headers, body: Vec::new() };
            };
            headers.push((name.to_owned(), value.to_owned()));
        }
    }

    pub(crate) fn content<'a>(&'a mut self, head: &Reply) -> Box<dyn Read + 'a> {
        match (head.header("content-length"), head.header("transfer-encoding")) {
            (Some(length), None) => Box::new((&mut self.reader).take(length.parse().unwrap())),
            (None, Some("chunked")) => Box::new(Chunks { client: self, left: 0, done: false }),
            _ => Box::new(std::io::empty()),
        }
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.strip_suffix("\r\n").unwrap_or_else(|| panic!("a line ends with CR LF: {line:?}")).to_owned()
    }

    /// Nothing more comes.
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.reader.read(&mut [0]), Ok(0) | Err(_))
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

struct Chunks<'a> {
    client: &'a mut Client,
    left: usize,
    done: bool,
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 && !self.done {
            self.left = usize::from_str_radix(&self.client.line(), 16).unwrap();
            self.done = self.left == 0;
            if self.done {
                assert_eq!(self.client.line(), "");
            }
        }
        if self.done {
            return Ok(0);
        }
        let most = buffer.len().min(self.left);
        let length = self.client.reader.read(&mut buffer[..most])?;
        self.left -= length;
        if self.left == 0 {
            assert_eq!(self.client.line(), "");
        }
        Ok(length)
    }
}
