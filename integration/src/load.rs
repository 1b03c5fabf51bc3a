//! How much the stories of replacements ask for, and the large push that goes on meanwhile. `HULL_TEST_CLIENTS=64` makes it more.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::rest::Rest;

/// How many clients there are, beside those at the keyboard, and how much is pushed at least.
#[derive(Clone, Copy)]
pub struct Extent {
    pub clients: usize,
    /// In bytes.
    pub push: u64,
    /// Each client rests so long between two requests, so that a small machine is busy and not swamped.
    pub pause: Duration,
}

impl Extent {
    /// `few` clients that do not rest, unless the environment asks for another number.
    #[must_use]
    pub fn of_environment(few: usize) -> Self {
        match std::env::var("HULL_TEST_CLIENTS").ok().and_then(|text| text.parse::<u32>().ok()) {
            Some(clients) => {
                Self { clients: clients as usize, push: 2 << 30, pause: Duration::from_millis(5) * clients }
            }
            None => Self { clients: few, push: 0, pause: Duration::ZERO },
        }
    }

    /// When this client begins: they do not all ask at the same moment.
    #[must_use]
    pub fn turn(self, client: usize) -> Duration {
        self.pause.mul_f64(client as f64 / self.clients.max(1) as f64)
    }

    /// Between two lines of a command: several times faster than anybody types.
    #[must_use]
    pub fn typing(self) -> Duration {
        self.pause / 32
    }

    /// How many commands somebody types into.
    #[must_use]
    pub fn echoes(self) -> usize {
        (self.clients / 8).max(2)
    }
}

/// Bytes into the file `path` of the instance `web`, `least` at least and until `enough`; returns how many.
///
/// # Errors
/// The daemon breaks off or refuses.
pub fn push(socket: &Path, path: &str, least: u64, enough: impl Fn() -> bool) -> Result<u64> {
    let mut stream = UnixStream::connect(socket)?;
    write!(
        stream,
        "POST /1.0/instances/web/files?path={path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    )?;
    let mut total = 0;
    let sent = send(&mut stream, &mut total, least, enough);
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    ensure!(line.contains(" 200 "), "the push ended after {total} bytes ({sent:?}) with {line:?}");
    sent?;
    Ok(total)
}

/// In chunks, small ones if little is asked for.
fn send(stream: &mut UnixStream, total: &mut u64, least: u64, enough: impl Fn() -> bool) -> std::io::Result<()> {
    let mut piece = vec![0u8; if least > 0 { 512 } else { 16 } * 1024];
    while *total < least || !enough() {
        content(*total, &mut piece);
        write!(stream, "{:x}\r\n", piece.len())?;
        stream.write_all(&piece)?;
        stream.write_all(b"\r\n")?;
        *total += piece.len() as u64;
        std::thread::sleep(Duration::from_millis(2));
    }
    stream.write_all(b"0\r\n\r\n")
}

/// Every byte of a [`push`] has arrived, and no other.
///
/// # Errors
/// What differs.
pub fn assert_pushed(rest: &Rest, path: &str, pushed: u64) -> Result<()> {
    let there = rest.get(&format!("/1.0/instances/web/files?path={path}"))?;
    ensure!(there.body.len() as u64 == pushed, "{} of {pushed} bytes arrived", there.body.len());
    let mut expected = vec![0; 1 << 20];
    for (number, arrived) in there.body.chunks(expected.len()).enumerate() {
        let expected = &mut expected[..arrived.len()];
        content((number as u64) << 20, expected);
        ensure!(arrived == expected, "other bytes arrived in MiB {number}");
    }
    Ok(())
}

/// What stands at a position of the pushed file: a pattern that begins anew at no round position. Copied, so that who sends it
/// takes little of the machine.
fn content(position: u64, piece: &mut [u8]) {
    const PERIOD: usize = 65_521;
    static PATTERN: LazyLock<Vec<u8>> =
        LazyLock::new(|| (0..PERIOD as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8).collect());
    let mut at = (position % PERIOD as u64) as usize;
    for part in piece.chunks_mut(PERIOD) {
        let (front, back) = part.split_at_mut(part.len().min(PERIOD - at));
        front.copy_from_slice(&PATTERN[at..at + front.len()]);
        back.copy_from_slice(&PATTERN[..back.len()]);
        at = (at + part.len()) % PERIOD;
    }
}
