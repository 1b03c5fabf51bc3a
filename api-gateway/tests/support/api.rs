//! The canned answers: each path shows one kind of reply.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::rc::Rc;

use hull_gateway_contract::{Api, ApiCall, ApiReply, CallBody, Piece, ReplyBody, Token, Upgrade};
use sha2::{Digest, Sha256};
use tarpc::context::Context;

use super::{Seen, blocking};

#[derive(Clone)]
pub(crate) struct Answers {
    pub(crate) seen: Rc<Seen>,
}

struct Cancelled(Rc<Seen>);

impl Drop for Cancelled {
    fn drop(&mut self) {
        *self.0.cancelled.borrow_mut() += 1;
        self.0.changed.notify_one();
    }
}

impl Api for Answers {
    async fn call(self, _: Context, call: ApiCall) -> ApiReply {
        let (path, query) = call.target.split_once('?').unwrap_or((&call.target, ""));
        let number: u64 = query.parse().unwrap_or(0);
        let body = match path {
            "/inline" => {
                let mut reply = reply(200, ReplyBody::Inline(b"hello".to_vec()));
                reply.headers.push(("bad\r\nname".into(), "left out".into()));
                return reply;
            }
            "/server" => ReplyBody::Inline(vec![b'x'; 9000]),
            "/zeros" => ReplyBody::Upgrade(Upgrade::Stream { output: Some(zeros(number).into()), input: None }),
            "/held" => {
                let (reader, writer) = std::io::pipe().unwrap();
                self.seen.held.borrow_mut().push(reader.into());
                ReplyBody::Upgrade(Upgrade::Stream { output: None, input: Some(OwnedFd::from(writer).into()) })
            }
            "/echo" => ReplyBody::Inline(describe(&call).into_bytes()),
            "/nothing" => return reply(204, ReplyBody::Inline(Vec::new())),
            "/refuse" => return reply(403, ReplyBody::Inline(b"no".to_vec())),
            "/file" => {
                let file = blocking(move || filled_file(number)).await;
                ReplyBody::File { file: OwnedFd::from(file).into(), start: 0, length: number }
            }
            "/pieces" => {
                let file = |length| Piece::File { file: OwnedFd::from(filled_file(length)).into(), length };
                ReplyBody::Pieces(vec![
                    Piece::Bytes(b"<".to_vec()),
                    file(300_000),
                    Piece::Bytes(b"|".to_vec()),
                    file(2),
                ])
            }
            "/part" => ReplyBody::File { file: OwnedFd::from(filled_file(1000)).into(), start: 10, length: 20 },
            "/stream" => match call.body {
                CallBody::Stream { stream, length } => {
                    let sum = blocking(move || checksum(File::from(stream.into_owned()))).await;
                    ReplyBody::Inline(format!("{length:?} {sum}").into_bytes())
                }
                _ => return reply(400, ReplyBody::Inline(b"no stream".to_vec())),
            },
            "/sink" => {
                let directory = std::path::Path::new(query);
                let sink = File::options().create(true).write(true).truncate(true).open(directory).unwrap();
                ReplyBody::Sink { sink: OwnedFd::from(sink).into(), body: b"stored".to_vec() }
            }
            "/unwritable" => {
                let sink = File::open("/etc/hostname").unwrap();
                ReplyBody::Sink { sink: OwnedFd::from(sink).into(), body: Vec::new() }
            }
            "/chunks" => ReplyBody::Stream(source(number).into()),
            "/wait" => {
                *self.seen.waiting.borrow_mut() += 1;
                self.seen.changed.notify_one();
                let _cancelled = Cancelled(self.seen.clone());
                std::future::pending().await
            }
            "/output" => ReplyBody::Upgrade(Upgrade::Stream { output: Some(source(number).into()), input: None }),
            "/process" => ReplyBody::Upgrade(process(query)),
            "/terminal" => ReplyBody::Upgrade(terminal()),
            "/messages" => ReplyBody::Upgrade(Upgrade::Messages(shouting())),
            "/raw" => ReplyBody::Upgrade(Upgrade::Raw { protocol: "sftp".into(), stream: echoing() }),
            _ => return reply(404, ReplyBody::Inline(b"?".to_vec())),
        };
        reply(200, body)
    }

    async fn closed(self, _: Context, token: Token) {
        if !self.seen.closed.borrow_mut().insert(token) {
            *self.seen.repeated.borrow_mut() += 1;
        }
        self.seen.changed.notify_one();
    }
}

fn reply(status: u16, body: ReplyBody) -> ApiReply {
    let headers = vec![("content-type".into(), "text/plain".into())];
    ApiReply { status, headers, body }
}

fn describe(call: &ApiCall) -> String {
    let body = match &call.body {
        CallBody::Empty => "empty".into(),
        CallBody::Inline(bytes) => format!("inline {} {}", bytes.len(), checksum(bytes.as_slice())),
        CallBody::Stream { length, .. } => format!("stream {length:?}"),
    };
    format!("{} {} {body} {:?}", call.method, call.target, call.upgrade)
}

/// The `index`th byte of all test content.
pub(crate) fn pattern(length: u64) -> impl Read + Send {
    Pattern { position: 0, length }
}

struct Pattern {
    position: u64,
    length: u64,
}

impl Read for Pattern {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        static BLOCK: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            (0..1_000_003u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
        });
        let start = (self.position % BLOCK.len() as u64) as usize;
        let length = buffer.len().min(BLOCK.len() - start).min((self.length - self.position) as usize);
        buffer[..length].copy_from_slice(&BLOCK[start..start + length]);
        self.position += length as u64;
        Ok(length)
    }
}

pub(crate) fn checksum(mut from: impl Read) -> String {
    let (mut hash, mut buffer, mut total) = (Sha256::new(), vec![0; 256 * 1024], 0);
    loop {
        let length = from.read(&mut buffer).unwrap();
        if length == 0 {
            break;
        }
        hash.update(&buffer[..length]);
        total += length;
    }
    let sum: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{total} {sum}")
}

fn filled_file(length: u64) -> File {
    let mut file = tempfile::tempfile().unwrap();
    std::io::copy(&mut pattern(length), &mut file).unwrap();
    file.rewind().unwrap();
    file
}

/// A pipe that gives `length` bytes of the pattern.
fn source(length: u64) -> OwnedFd {
    let (reader, writer) = std::io::pipe().unwrap();
    std::thread::spawn(move || std::io::copy(&mut pattern(length), &mut { writer }));
    reader.into()
}

/// A pipe that gives `length` zero bytes as fast as it can.
fn zeros(length: u64) -> OwnedFd {
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::thread::spawn(move || {
        let (piece, mut left) = (vec![0; 128 * 1024], length as usize);
        while left > 0 {
            let now = left.min(piece.len());
            if writer.write_all(&piece[..now]).is_err() {
                return;
            }
            left -= now;
        }
    });
    reader.into()
}

/// A shell command with its pipes.
fn process(command: &str) -> Upgrade {
    let mut child = Command::new("sh")
        .args(["-c", &command.replace('+', " ").replace("%3C", "<").replace("%26", "&")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    std::thread::spawn(move || child.wait());
    Upgrade::Stream { output: Some(OwnedFd::from(stdout).into()), input: Some(OwnedFd::from(stdin).into()) }
}

/// A shell on a terminal that ends after one line.
fn terminal() -> Upgrade {
    let pty = nix::pty::openpty(None, None).unwrap();
    let slave = || Stdio::from(pty.slave.try_clone().unwrap());
    let script = "read line; echo got $line";
    let mut child =
        Command::new("sh").args(["-c", script]).stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
    std::thread::spawn(move || child.wait());
    let input = pty.master.try_clone().unwrap();
    Upgrade::Stream { output: Some(pty.master.into()), input: Some(input.into()) }
}

/// A packet socket that answers every packet in capitals and ends after `bye`.
fn shouting() -> hull_wire::SocketFd {
    let (ours, theirs) = hull_sys::message::blocking_packet_pair().unwrap();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let (length, _) = hull_sys::message::receive(std::os::fd::AsFd::as_fd(&ours), &mut buffer).unwrap();
            if length == 0 || &buffer[..length] == b"bye" {
                return;
            }
            buffer[..length].make_ascii_uppercase();
            hull_sys::message::send(std::os::fd::AsFd::as_fd(&ours), &buffer[..length], &[]).unwrap();
        }
    });
    theirs.into()
}

fn echoing() -> hull_wire::StreamFd {
    let (ours, theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        let mut reader = ours.try_clone().unwrap();
        std::io::copy(&mut reader, &mut { &ours }).unwrap();
        let _ = ours.shutdown(std::net::Shutdown::Write);
        let _ = { &ours }.flush();
    });
    OwnedFd::from(theirs).into()
}
