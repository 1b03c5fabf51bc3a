//! HTTP/1.1 over a Unix socket, one kept-alive connection: as little of a client as there can be.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Past this a daemon hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection to a daemon.
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
}

/// The body of a request.
pub(crate) enum Body<'a> {
    None,
    Json(&'a Value),
    /// A file's content, or an image.
    Bytes(&'a [u8]),
}

impl Client {
    pub(crate) fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::with_capacity(256 << 10, stream) })
    }

    /// One request; the raw body of a successful answer.
    pub(crate) fn raw(&mut self, method: &str, path: &str, body: Body) -> Result<Vec<u8>> {
        let what = || format!("{method} {path}");
        self.send(method, path, &body).with_context(what)?;
        let (status, body) = self.receive().with_context(what)?;
        if status >= 400 {
            bail!("{}: {status} {}", what(), String::from_utf8_lossy(&body).trim());
        }
        Ok(body)
    }

    /// One request; `metadata` of the answer.
    pub(crate) fn json(&mut self, method: &str, path: &str, body: Body) -> Result<Value> {
        Ok(self.answer(method, path, body)?["metadata"].take())
    }

    /// Starts an operation and waits for its end; its metadata.
    pub(crate) fn operation(&mut self, method: &str, path: &str, body: Body) -> Result<Value> {
        let answer = self.answer(method, path, body)?;
        let Some(operation) = answer["operation"].as_str().filter(|operation| !operation.is_empty()) else {
            return Ok(answer); // done at once
        };
        self.wait(operation).with_context(|| format!("{method} {path}"))
    }

    pub(crate) fn get(&mut self, path: &str) -> Result<Value> {
        self.json("GET", path, Body::None)
    }

    /// The whole envelope of an answer.
    pub(crate) fn answer(&mut self, method: &str, path: &str, body: Body) -> Result<Value> {
        let body = self.raw(method, path, body)?;
        serde_json::from_slice(&body).with_context(|| format!("{method} {path}: the answer is not JSON"))
    }

    /// Waits for an operation's end.
    pub(crate) fn wait(&mut self, operation: &str) -> Result<Value> {
        let mut done = self.get(&format!("{operation}/wait?timeout={}", PATIENCE.as_secs()))?;
        match done["status_code"].as_u64() {
            Some(200) => Ok(done["metadata"].take()),
            _ => bail!("operation {}: {}", done["status"], done["err"]),
        }
    }

    /// Asks for an upgrade to a websocket; the connection is one afterwards.
    pub(crate) fn upgrade(mut self, path: &str) -> Result<BufReader<UnixStream>> {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: aHVsbCBiZW5jaCBrZXkgMA==\r\n\r\n"
        );
        self.stream.get_mut().write_all(head.as_bytes())?;
        let (status, _) = self.head().with_context(|| format!("GET {path}"))?;
        if status != 101 {
            bail!("GET {path}: {status} instead of a websocket");
        }
        Ok(self.stream)
    }

    /// The connection itself, for clients that do not behave.
    pub(crate) fn into_stream(self) -> UnixStream {
        self.stream.into_inner()
    }

    fn send(&mut self, method: &str, path: &str, body: &Body) -> io::Result<()> {
        let json;
        let (kind, content): (&str, &[u8]) = match body {
            Body::None => ("", &[]),
            Body::Json(value) => {
                json = value.to_string();
                ("Content-Type: application/json\r\n", json.as_bytes())
            }
            Body::Bytes(bytes) => ("Content-Type: application/octet-stream\r\n", bytes),
        };
        let length = if matches!(body, Body::None) && method == "GET" {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", content.len())
        };
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\n{kind}{length}\r\n").into_bytes();
        let stream = self.stream.get_mut();
        if content.len() < 16 << 10 {
            head.extend_from_slice(content);
            return stream.write_all(&head);
        }
        stream.write_all(&head)?;
        stream.write_all(content)
    }

    fn receive(&mut self) -> Result<(u16, Vec<u8>)> {
        let (status, length) = self.head()?;
        let mut body = Vec::new();
        match length {
            Length::Known(length) => {
                body.reserve(usize::try_from(length)?);
                let read = self.stream.by_ref().take(length).read_to_end(&mut body)?;
                if (read as u64) < length {
                    bail!("the answer broke off");
                }
            }
            Length::Chunked => self.chunks(&mut body)?,
        }
        Ok((status, body))
    }

    fn head(&mut self) -> Result<(u16, Length)> {
        let status = self.line()?;
        let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let code = code.with_context(|| format!("`{status}` is no HTTP status"))?;
        let mut length = Length::Known(0);
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { return Ok((code, length)) };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Length::Known(value.parse().context("Content-Length is no number")?),
                "transfer-encoding" if value == "chunked" => length = Length::Chunked,
                _ => {}
            }
        }
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> Result<()> {
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(size, 16).with_context(|| format!("`{line}` is no chunk size"))?;
            self.stream.by_ref().take(size).read_to_end(body)?;
            self.line()?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("the daemon closed the connection");
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

enum Length {
    Known(u64),
    Chunked,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn reads_answers_of_known_length_and_in_chunks_from_one_connection() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            for answer in [
                "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"metadata\": 11}",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"metada\r\n9\r\nta\": \"x\"}\r\n0\r\n\r\n",
                "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
            ] {
                assert!(stream.read(&mut request).unwrap() > 0);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let mut client = Client::connect(&socket).unwrap();
        assert_eq!(client.get("/1.0").unwrap(), 11);
        assert_eq!(client.get("/1.0").unwrap(), "x");
        assert_eq!(client.get("/1.0").unwrap_err().to_string(), "GET /1.0: 404 none");
        server.join().unwrap();
    }
}
