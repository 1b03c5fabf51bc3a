//! A large body: pumped through a pipe while hulld works on the request.
//!
//! hulld holds the reading end, and a second one stays here until hulld has answered: when the answer is a sink, it is this
//! one that is emptied into it, and what has not arrived by then goes there directly. A body that breaks off must not look
//! complete, but a pipe knows only one end: so the call is cancelled and hulld told that the connection is void before the
//! pipe is closed.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;

use hull_gateway_contract::{ApiReply, CallBody, ReplyBody};
use hull_wire::RequestId;
use tokio::sync::Notify;

use crate::connection::Inbox;
use crate::connection::body::{Body, Step};
use crate::connection::exchange::{Interruption, api_call, finish, not_stored};
use crate::connection::head::{Head, Persistence};
use crate::connection::patience::Patience;
use crate::connection::reply::{self, Manner};
use crate::connection::serve::{Connection, Standing};
use crate::connection::transfer::{Arriving, pipe, receive_into_pipe, store_arriving, store_bytes, store_pipe};
use crate::descriptor::Descriptor;
use crate::failure::Refusal;

/// How much is received at once where the kernel cannot move it by itself.
const CHUNK: usize = 128 * 1024;
/// A body that nobody reads is skipped up to this many bytes; beyond them the connection ends instead.
const SKIPPED: u64 = 64 * 1024 * 1024;

/// Asks hulld with the body as a stream and sees it through. `prefix` is what was received of the body so far.
pub(crate) async fn upload(
    connection: &mut Connection,
    head: Head,
    request: RequestId,
    prefix: Vec<u8>,
    mut body: Body,
) -> Result<Persistence, Interruption> {
    let manner = Manner::of(&head);
    let length = body.length().map(|left| left + prefix.len() as u64);
    let (reader, writer) = pipe()?;
    let kept = reader.try_clone()?;
    let mut call = api_call(connection, head, request);
    call.body = CallBody::Stream { stream: reader.into(), length };

    let hub = connection.hub.clone();
    let outcome = {
        let mut call = Box::pin(hub.call(call));
        let source = Source { socket: &connection.socket, inbox: &mut connection.inbox, patience: connection.patience };
        let enough = Notify::new();
        let mut pump = Box::pin(pump(source, &mut body, prefix, writer, &enough));
        match until_reply(&mut call, pump.as_mut()).await {
            Progress::Broke(cause, writer) => {
                drop(call);
                hub.closed(connection.token).await;
                connection.standing = Standing::ReportedClosed;
                drop(writer);
                Err(cause)
            }
            Progress::Replied(reply, state) => settle(reply?, state, pump.as_mut(), &enough, kept).await,
        }
    };
    match outcome? {
        Settled::Reply(reply, rest) => {
            if let Some(sink) = rest {
                store_rest(connection, &mut body, sink).await?;
            }
            let manner = if skip(connection, &mut body).await? { manner } else { manner.closing() };
            finish(connection, manner, reply, None).await
        }
        Settled::Unread(reply) => {
            reply::write(&connection.socket, manner.closing(), reply.status, &reply.headers, reply.body).await?;
            connection.linger().await;
            Ok(Persistence::Close)
        }
    }
}

pub(crate) fn truncated() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the client ended in the middle of a request's body")
}

/// What became of the body while the call ran.
enum Progress {
    Replied(Result<ApiReply, Refusal>, Pumping),
    /// The body is damaged or incomplete. The pipe must stay open until hulld knows.
    Broke(Interruption, Descriptor),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pumping {
    Running,
    Finished,
}

enum Settled {
    /// The answer can be sent, once what is left of the body is where it belongs.
    Reply(ApiReply, Option<OwnedFd>),
    /// The answer can be sent, but the client is still sending what nobody will read.
    Unread(ApiReply),
}

/// Where a body comes from.
struct Source<'a> {
    socket: &'a Descriptor,
    inbox: &'a mut Inbox,
    patience: Patience,
}

/// How pumping ended.
enum Pumped {
    Complete,
    /// Nobody needs the pipe for the rest.
    Enough,
    /// Nobody reads the pipe any more.
    Unwanted,
    Broke(Interruption, Descriptor),
}

async fn until_reply(
    call: &mut Pin<Box<impl Future<Output = Result<ApiReply, Refusal>>>>,
    mut pump: Pin<&mut impl Future<Output = Pumped>>,
) -> Progress {
    tokio::select! {
        reply = call.as_mut() => Progress::Replied(reply, Pumping::Running),
        pumped = pump.as_mut() => match pumped {
            Pumped::Broke(cause, writer) => Progress::Broke(cause, writer),
            Pumped::Complete | Pumped::Enough | Pumped::Unwanted => Progress::Replied(call.await, Pumping::Finished),
        },
    }
}

/// Brings what is in the pipe where the answer wants it; a sink is returned for the rest.
async fn settle(
    reply: ApiReply,
    state: Pumping,
    pump: Pin<&mut impl Future<Output = Pumped>>,
    enough: &Notify,
    kept: OwnedFd,
) -> Result<Settled, Interruption> {
    let pumped = async {
        match state {
            Pumping::Finished => Ok(()),
            Pumping::Running => match pump.await {
                Pumped::Broke(cause, _writer) => Err(cause),
                Pumped::Complete | Pumped::Enough | Pumped::Unwanted => Ok(()),
            },
        }
    };
    match reply.body {
        ReplyBody::Sink { sink, body } => {
            enough.notify_one();
            let (sink, reply) = (sink.into_owned(), ApiReply { body: ReplyBody::Inline(body), ..reply });
            let rest = sink.try_clone()?;
            let stored = async { store_pipe(kept, sink).await.map_err(|error| not_stored(&error).into()) };
            tokio::try_join!(pumped, stored)?;
            Ok(Settled::Reply(reply, Some(rest)))
        }
        body if reply.status >= 400 && state == Pumping::Running => Ok(Settled::Unread(ApiReply { body, ..reply })),
        body => {
            drop(kept); // now the pipe breaks when hulld's side stops reading
            pumped.await?;
            Ok(Settled::Reply(ApiReply { body, ..reply }, None))
        }
    }
}

/// Writes what is still to come into the file.
async fn store_rest(connection: &mut Connection, body: &mut Body, sink: OwnedFd) -> Result<(), Interruption> {
    let Connection { socket, inbox, patience, .. } = connection;
    let sink = Arc::new(sink);
    loop {
        match body.step(inbox.filled())? {
            Step::Framing(length) => inbox.consume(length),
            Step::Content(length) => {
                let content = inbox.filled()[..length].to_vec();
                store_bytes(content, sink.clone()).await.map_err(|error| not_stored(&error))?;
                inbox.consume(length);
                body.consumed(length);
            }
            Step::More if body.contiguous() as usize > CHUNK => {
                patience.with_body(socket.arrived()).await?;
                match store_arriving(socket, sink.clone(), body.contiguous()).await? {
                    Arriving::Stored(length) => body.consumed(length),
                    Arriving::Ended => return Err(truncated().into()),
                    Arriving::Unstored(error) => return Err(not_stored(&error).into()),
                }
            }
            Step::More => {
                if patience.receive(inbox, socket, CHUNK).await? == 0 {
                    return Err(truncated().into());
                }
            }
            Step::End => return Ok(()),
        }
    }
}

/// Moves the body into the pipe and closes it at the body's end, or when that is enough of it.
async fn pump(source: Source<'_>, body: &mut Body, prefix: Vec<u8>, writer: Descriptor, enough: &Notify) -> Pumped {
    match pump_into(source, body, prefix, &writer, enough).await {
        Ok(()) if body.is_done() => Pumped::Complete,
        Ok(()) => Pumped::Enough,
        Err(Interruption::Broken(error)) if error.kind() == io::ErrorKind::BrokenPipe => Pumped::Unwanted,
        Err(cause) => Pumped::Broke(cause, writer),
    }
}

async fn pump_into(
    Source { socket, inbox, patience }: Source<'_>,
    body: &mut Body,
    prefix: Vec<u8>,
    writer: &Descriptor,
    enough: &Notify,
) -> Result<(), Interruption> {
    writer.write_all(&prefix).await?;
    drop(prefix);
    loop {
        match body.step(inbox.filled())? {
            Step::Framing(length) => inbox.consume(length),
            Step::Content(length) => {
                writer.write_all(&inbox.filled()[..length]).await?;
                inbox.consume(length);
                body.consumed(length);
            }
            Step::More if body.contiguous() as usize > CHUNK => {
                tokio::select! {
                    biased;
                    () = enough.notified() => return Ok(()),
                    arrived = patience.with_body(socket.arrived()) => arrived?,
                }
                match receive_into_pipe(socket, writer, body.contiguous()).await? {
                    0 => return Err(truncated().into()),
                    moved => body.consumed(moved),
                }
            }
            Step::More => {
                if patience.receive(inbox, socket, CHUNK).await? == 0 {
                    return Err(truncated().into());
                }
            }
            Step::End => return Ok(()),
        }
    }
}

/// Reads past what is left of a body; `false`: it is too much of it.
async fn skip(connection: &mut Connection, body: &mut Body) -> Result<bool, Interruption> {
    let (inbox, mut left) = (&mut connection.inbox, SKIPPED);
    loop {
        match body.step(inbox.filled())? {
            Step::Framing(length) => inbox.consume(length),
            Step::Content(length) if length as u64 > left => return Ok(false),
            Step::Content(length) => {
                left -= length as u64;
                inbox.consume(length);
                body.consumed(length);
            }
            Step::More if connection.patience.receive(inbox, &connection.socket, CHUNK).await? == 0 => {
                return Err(truncated().into());
            }
            Step::More => {}
            Step::End => return Ok(true),
        }
    }
}
