//! A REST client that does nothing but HTTP/1.1 over a Unix socket: what it shows is what the daemon said.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The API of one daemon.
#[derive(Clone, Debug)]
pub struct Rest {
    socket: PathBuf,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The result of a request that must succeed.
    pub fn metadata(&self) -> Result<Value> {
        let body = self.json()?;
        if self.status >= 400 {
            bail!("{}: {}", self.status, body["error"]);
        }
        Ok(body["metadata"].clone())
    }

    /// The text of a request that must fail.
    pub fn error(&self) -> Result<String> {
        let body = self.json()?;
        match body["error"].as_str() {
            Some(text) if self.status >= 400 => Ok(text.to_owned()),
            _ => bail!("expected an error, got {}: {body}", self.status),
        }
    }
}

impl Rest {
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    pub fn get(&self, path: &str) -> Result<Answer> {
        self.request("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.request("POST", path, &[], body.to_string().as_bytes())
    }

    pub fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.request("PUT", path, &[], body.to_string().as_bytes())
    }

    pub fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        self.request("PATCH", path, &[], body.to_string().as_bytes())
    }

    pub fn delete(&self, path: &str) -> Result<Answer> {
        self.request("DELETE", path, &[], b"")
    }

    /// Waits for the operation that `answer` started, and returns it when it has succeeded.
    pub fn wait(&self, answer: &Answer) -> Result<Value> {
        answer.metadata()?;
        let operation = answer.json()?["operation"].as_str().unwrap_or_default().to_owned();
        let ended = self.get(&format!("{operation}/wait"))?.metadata()?;
        if ended["status_code"] != 200 {
            bail!("{}: {}", ended["description"], ended["err"]);
        }
        Ok(ended)
    }

    /// The end of what was asked for, at once or by an operation.
    pub fn done(&self, answer: &Answer) -> Result<()> {
        match answer.json()?["type"].as_str() {
            Some("async") => self.wait(answer).map(drop),
            _ => answer.metadata().map(drop),
        }
    }

    /// A connection for many requests, one after the other.
    pub fn keep_alive(&self) -> KeepAlive {
        KeepAlive { rest: self.clone(), reader: None }
    }

    /// One request on a connection of its own.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        let mut stream =
            UnixStream::connect(&self.socket).with_context(|| format!("cannot connect to {:?}", self.socket))?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: hull\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        // A daemon that refuses the body may answer, and close, before it has all of it.
        let sent = stream.write_all(body);
        let answer = read_answer(&mut BufReader::new(stream));
        answer
            .or_else(|error| sent.map_err(anyhow::Error::from).and(Err(error)))
            .with_context(|| format!("{method} {path}"))
    }
}

/// A client that uses its connection for as long as the daemon lets it, and repeats nothing: what fails, fails.
#[derive(Debug)]
pub struct KeepAlive {
    rest: Rest,
    reader: Option<BufReader<UnixStream>>,
}

impl KeepAlive {
    pub fn request(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => {
                let stream = UnixStream::connect(&self.rest.socket)
                    .with_context(|| format!("cannot connect to {:?}", self.rest.socket))?;
                stream.set_read_timeout(Some(Duration::from_secs(120)))?;
                BufReader::new(stream)
            }
        };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: hull\r\nContent-Length: {}\r\n\r\n", body.len());
        reader.get_mut().write_all(&[head.as_bytes(), body].concat()).with_context(|| format!("{method} {path}"))?;
        let answer = read_answer(&mut reader).with_context(|| format!("{method} {path}"))?;
        if answer.header("connection") != Some("close") {
            self.reader = Some(reader);
        }
        Ok(answer)
    }
}

fn read_answer(reader: &mut impl BufRead) -> Result<Answer> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split_whitespace().nth(1).context("no status line")?.parse()?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value.parse()).transpose()?;
    let mut body = Vec::new();
    match length {
        _ if chunked => read_chunks(reader, &mut body)?,
        Some(length) => {
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
        }
        None => drop(reader.read_to_end(&mut body)?),
    }
    Ok(Answer { status, headers, body })
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).context("bad chunk")?;
        let start = body.len();
        body.resize(start + length, 0);
        reader.read_exact(&mut body[start..])?;
        reader.read_line(&mut String::new())?;
        if length == 0 {
            return Ok(());
        }
    }
}
