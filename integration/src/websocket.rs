//! The client's end of an operation's websocket: what is typed, and what comes back.

use std::io::{BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A stream of bytes in the frames of a websocket.
pub struct Websocket {
    reader: BufReader<UnixStream>,
}

impl Websocket {
    /// Connects to `path` of the daemon's API.
    pub fn connect(socket: &Path, path: &str) -> Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: hull\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        let mut reader = BufReader::new(stream);
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(b"\r\n\r\n") {
            reader.read_exact(&mut byte)?;
            answer.extend(byte);
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        if !answer.starts_with("HTTP/1.1 101") {
            bail!("{path}: {answer}");
        }
        Ok(Self { reader })
    }

    /// Sends bytes in one frame.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let length = u8::try_from(bytes.len()).ok().filter(|length| *length < 126).context("short frames only")?;
        let mut frame = vec![0x82, 0x80 | length, 0, 0, 0, 0];
        frame.extend(bytes);
        Ok(self.reader.get_mut().write_all(&frame)?)
    }

    /// The data of the next frame that has any; `None` at the end.
    pub fn receive(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let mut head = [0; 2];
            self.reader.read_exact(&mut head)?;
            let length = match head[1] & 0x7f {
                126 => {
                    let mut wide = [0; 2];
                    self.reader.read_exact(&mut wide)?;
                    usize::from(u16::from_be_bytes(wide))
                }
                127 => {
                    let mut wide = [0; 8];
                    self.reader.read_exact(&mut wide)?;
                    usize::try_from(u64::from_be_bytes(wide))?
                }
                short => usize::from(short),
            };
            let mut data = vec![0; length];
            self.reader.read_exact(&mut data)?;
            match head[0] & 0x0f {
                0..=2 if !data.is_empty() => return Ok(Some(data)),
                8 => return Ok(None),
                _ => {}
            }
        }
    }
}
