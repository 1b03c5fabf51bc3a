//! A websocket on one side, descriptors from hulld on the other.
//!
//! Two loops run side by side: `receive` is the only reader of the client's socket, `send` the only writer. A full
//! descriptor stops `receive`, a slow client stops `send`: nothing is buffered beyond one piece each way.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::PollFlags;
use nix::sys::socket::{setsockopt, sockopt};

use crate::connection::Inbox;
use crate::descriptor::{Descriptor, is_ready};
use crate::websocket::frame::{self, NORMAL, NOT_UTF8, Opcode, TOO_BIG};
use crate::websocket::outbox::{Control, Outbox};
use crate::websocket::receiver::{Ended, Received, Receiver};

/// The largest frame of what is copied, and the most received at once.
const PIECE: usize = 256 * 1024;
/// The largest frame of what is moved: each one's head wakes the client once more, and some clients take no larger ones.
const MOVED: usize = 1024 * 1024;
/// The most copied from a pipe at once: what is larger is moved inside the kernel.
const COPIED: usize = 16 * 1024;
/// What a pipe holds that nobody has enlarged.
const FULL: usize = 64 * 1024;
/// Room on both sides of a stream that goes fast, in bytes; the kernel may give less.
const WIDE: usize = 1024 * 1024;
/// What a control websocket says for a client that cannot.
const KILL: &str = r#"{"command":"signal","signal":9}"#;
/// The largest message for a packet socket: less than its default buffer.
const MAX_MESSAGE: usize = 128 * 1024;
/// The most that is sent of a terminal after the end of its process: more than a terminal holds.
const REST: usize = 256 * 1024;
/// How long the client has to answer a close.
const GOODBYE: Duration = Duration::from_secs(5);

/// Bridges binary frames to byte streams; see `Upgrade::Stream`.
pub(crate) async fn bridge_stream(
    socket: &Descriptor,
    inbox: &mut Inbox,
    output: Option<Descriptor>,
    input: Option<Descriptor>,
) -> io::Result<()> {
    let output = match output {
        None => Output::Nothing,
        Some(pipe) if fcntl(&pipe, FcntlArg::F_GETPIPE_SZ).is_ok() => Output::Pipe(pipe),
        Some(stream) => Output::Stream(stream),
    };
    bridge(socket, inbox, &output, Input::Stream(input)).await
}

/// Bridges binary frames to the terminal of a process; see `Upgrade::Terminal`.
pub(crate) async fn bridge_terminal(
    socket: &Descriptor,
    inbox: &mut Inbox,
    terminal: Descriptor,
    process: Descriptor,
) -> io::Result<()> {
    let input = Descriptor::new(terminal.shared().try_clone()?)?;
    bridge(socket, inbox, &Output::Terminal(terminal, process), Input::Stream(Some(input))).await
}

/// Bridges text messages to the packets of a socket; see `Upgrade::Messages`.
pub(crate) async fn bridge_messages(socket: &Descriptor, inbox: &mut Inbox, packets: Descriptor) -> io::Result<()> {
    let output = Output::Packets(packets);
    let Output::Packets(packets) = &output else { return Ok(()) };
    bridge(socket, inbox, &output, Input::Packets { to: packets, message: Vec::new() }).await
}

/// What is sent to the client.
enum Output {
    Pipe(Descriptor),
    Stream(Descriptor),
    /// With the process whose terminal it is.
    Terminal(Descriptor, Descriptor),
    Packets(Descriptor),
    Nothing,
}

/// What comes next from an output.
enum Piece<'a> {
    Buffered(usize),
    /// In this pipe, where it stays until it is moved.
    InPipe(&'a Descriptor, usize),
}

/// Where the client's messages go.
enum Input<'a> {
    /// `None`: closed.
    Stream(Option<Descriptor>),
    Packets {
        to: &'a Descriptor,
        message: Vec<u8>,
    },
}

/// Why nothing more is received.
enum Over {
    /// The client closes or breaks the protocol: say so with this code.
    Close(u16),
    Gone,
}

async fn bridge(socket: &Descriptor, inbox: &mut Inbox, output: &Output, input: Input<'_>) -> io::Result<()> {
    let outbox = Outbox::default();
    let mut receive = std::pin::pin!(receive(socket, inbox, input, output, &outbox));
    let mut send = std::pin::pin!(send(socket, output, &outbox));
    tokio::select! {
        over = &mut receive => match over? {
            Over::Gone => Ok(()),
            Over::Close(code) => {
                outbox.close(code);
                tokio::time::timeout(GOODBYE, send).await.unwrap_or(Ok(()))
            }
        },
        sent = &mut send => {
            sent?;
            // The other half of the closing handshake; its absence harms nobody.
            let _ = tokio::time::timeout(GOODBYE, receive).await;
            Ok(())
        }
    }
}

/// Sends what `output` gives until its end or until a close is due.
async fn send(socket: &Descriptor, output: &Output, outbox: &Outbox) -> io::Result<()> {
    let (mut buffer, mut wide) = (Vec::new(), false);
    let mut rest = REST;
    loop {
        while let Some(control) = outbox.take() {
            match control {
                Control::Pong(content) => send_frame(socket, Opcode::Pong, &content).await?,
                Control::Close(code) => return send_frame(socket, Opcode::Close, &code.to_be_bytes()).await,
            }
        }
        let piece = tokio::select! {
            biased;
            () = outbox.changed() => continue,
            piece = output.next(&mut buffer, &mut rest) => piece?,
        };
        match (piece, output) {
            (Some(Piece::InPipe(pipe, length)), _) => {
                widen(pipe, socket, length, &mut wide);
                socket.write_all(frame::header(Opcode::Binary, length).as_bytes()).await?;
                pipe.move_to(socket, length).await?;
                tokio::task::yield_now().await;
            }
            (Some(Piece::Buffered(length)), Output::Packets(_)) if std::str::from_utf8(&buffer[..length]).is_err() => {
                tracing::warn!("a message for a websocket is not UTF-8 and left out");
            }
            (Some(Piece::Buffered(length)), Output::Packets(_)) => {
                send_frame(socket, Opcode::Text, &buffer[..length]).await?;
            }
            (Some(Piece::Buffered(length)), _) => {
                send_frame(socket, Opcode::Binary, &buffer[..length]).await?;
                if length >= PIECE / 4 {
                    tokio::task::yield_now().await;
                }
            }
            (None, Output::Pipe(_) | Output::Stream(_) | Output::Terminal(..)) => {
                send_frame(socket, Opcode::Text, b"").await?;
                outbox.close(NORMAL);
            }
            (None, _) => outbox.close(NORMAL),
        }
    }
}

/// Gives a stream that has filled its pipe more room, once: the three that take part wait less for each other.
fn widen(pipe: &Descriptor, socket: &Descriptor, waiting: usize, wide: &mut bool) {
    if waiting >= FULL && !*wide {
        *wide = true;
        // Each within what the system lets a user have: slower without, not wrong.
        let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(WIDE as i32));
        let _ = setsockopt(socket, sockopt::SndBuf, &WIDE);
    }
}

impl Output {
    /// What is next, in `buffer` unless it says otherwise; `None` at the end.
    /// `rest`: so much more is sent of a terminal whose process has ended.
    async fn next(&self, buffer: &mut Vec<u8>, rest: &mut usize) -> io::Result<Option<Piece<'_>>> {
        match self {
            Output::Pipe(pipe) => match pipe.filled().await? {
                0 => Ok(None),
                length @ ..=COPIED => read(pipe, length, buffer).await,
                length => Ok(Some(Piece::InPipe(pipe, length.min(MOVED)))),
            },
            Output::Stream(stream) => {
                stream.readable().await?;
                read(stream, PIECE, buffer).await
            }
            Output::Terminal(terminal, process) => {
                tokio::select! {
                    biased;
                    ended = process.readable() => ended?,
                    readable = terminal.readable() => {
                        readable?;
                        return read(terminal, PIECE, buffer).await;
                    }
                }
                if !is_ready(terminal.shared().as_fd(), PollFlags::POLLIN)? {
                    return Ok(None);
                }
                let piece = read(terminal, (*rest).min(PIECE), buffer).await?;
                *rest -= if let Some(Piece::Buffered(length)) = piece { length } else { 0 };
                Ok(piece)
            }
            Output::Packets(packets) => Ok(packets.receive_packet(buffer).await?.map(Piece::Buffered)),
            Output::Nothing => std::future::pending().await,
        }
    }
}

async fn read(stream: &Descriptor, most: usize, buffer: &mut Vec<u8>) -> io::Result<Option<Piece<'static>>> {
    if buffer.len() < most {
        buffer.resize(most, 0);
    }
    let length = stream.read(&mut buffer[..most]).await?;
    Ok((length > 0).then_some(Piece::Buffered(length)))
}

async fn send_frame(socket: &Descriptor, opcode: Opcode, content: &[u8]) -> io::Result<()> {
    let header = frame::header(opcode, content.len());
    socket.write_slices(&mut [IoSlice::new(header.as_bytes()), IoSlice::new(content)]).await
}

/// Takes what the client sends.
async fn receive(
    socket: &Descriptor,
    inbox: &mut Inbox,
    mut input: Input<'_>,
    output: &Output,
    outbox: &Outbox,
) -> io::Result<Over> {
    let mut receiver = Receiver::default();
    loop {
        match receiver.next(inbox) {
            Ok(Received::More) => {
                inbox.release();
                tokio::select! {
                    received = inbox.receive(socket, PIECE) => match received {
                        Ok(1..) => {}
                        Ok(0) | Err(_) => {
                            input.vanished().await;
                            return Ok(Over::Gone);
                        }
                    },
                    () = input.unwanted() => {
                        input.close();
                        if matches!(output, Output::Nothing) {
                            // Not the end here: a client in the middle of sending must find an open socket, and
                            // learns of the close when it reads.
                            outbox.close(NORMAL);
                        }
                    }
                }
            }
            Ok(Received::Content { length, ended }) => {
                let taken = tokio::select! {
                    biased;
                    taken = input.take(&inbox.filled()[..length], ended) => taken?,
                    () = socket.gone() => {
                        input.vanished().await;
                        return Ok(Over::Gone);
                    }
                };
                if let Err(code) = taken {
                    return Ok(Over::Close(code));
                }
                inbox.consume(length);
            }
            Ok(Received::Ping(content)) => outbox.pong(content),
            Ok(Received::Close(code)) => return Ok(Over::Close(code)),
            Err(violation) => return Ok(Over::Close(violation.0)),
        }
    }
}

impl Input<'_> {
    /// The client is gone without a word: as in LXD, its command is not to go on for nobody.
    async fn vanished(&mut self) {
        if let Input::Packets { to, .. } = self {
            let _ = to.write_all(KILL.as_bytes()).await; // its other end may have gone as well
        }
    }

    /// Takes content; the inner error is a code to close the websocket with.
    async fn take(&mut self, content: &[u8], ended: Option<Ended>) -> io::Result<Result<(), u16>> {
        match self {
            Input::Stream(stream) => {
                if let Some(writable) = stream
                    && writable.write_all(content).await.is_err()
                {
                    *stream = None; // nobody reads it: the rest is dropped
                }
                if ended.is_some_and(|message| message.length == 0) {
                    *stream = None;
                }
                Ok(Ok(()))
            }
            Input::Packets { message, .. } if message.len() + content.len() > MAX_MESSAGE => Ok(Err(TOO_BIG)),
            Input::Packets { to, message } => {
                message.extend_from_slice(content);
                let Some(ended) = ended else { return Ok(Ok(())) };
                let message = std::mem::take(message);
                if ended.kind == Opcode::Text && std::str::from_utf8(&message).is_err() {
                    return Ok(Err(NOT_UTF8));
                }
                // An empty packet would look like the end.
                let sent = if message.is_empty() { Ok(()) } else { to.write_all(&message).await };
                Ok(sent.map_err(|_| NORMAL))
            }
        }
    }

    /// Returns when nobody reads the input any more.
    async fn unwanted(&self) {
        match self {
            Input::Stream(Some(stream)) => stream.unwanted().await,
            _ => std::future::pending().await,
        }
    }

    fn close(&mut self) {
        if let Input::Stream(stream) = self {
            *stream = None;
        }
    }
}
