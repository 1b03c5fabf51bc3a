//! One request and its answer.

use std::io;
use std::sync::Arc;

use hull_gateway_contract::{ApiCall, ApiReply, CallBody, INLINE, ReplyBody, Upgrade};
use hull_wire::RequestId;

use crate::connection::body::{Body, Step};
use crate::connection::head::{Head, Persistence};
use crate::connection::reply::{self, Manner};
use crate::connection::serve::Connection;
use crate::connection::transfer::store_bytes;
use crate::connection::{raw, upload};
use crate::descriptor::Descriptor;
use crate::failure::Refusal;
use crate::websocket;

/// Why an exchange does not end with hulld's answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Interruption {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The client is gone, or the connection is of no further use.
    #[error(transparent)]
    Broken(#[from] io::Error),
}

/// Handles a request whose head has been read.
pub(crate) async fn exchange(connection: &mut Connection, head: Head) -> io::Result<Persistence> {
    let manner = Manner::of(&head);
    match answer(connection, head, manner).await {
        Ok(persistence) => Ok(persistence),
        Err(Interruption::Refused(refusal)) => connection.refuse(refusal, manner).await,
        Err(Interruption::Broken(error)) => Err(error),
    }
}

async fn answer(connection: &mut Connection, head: Head, manner: Manner) -> Result<Persistence, Interruption> {
    let request = RequestId(rand::random());
    tracing::debug!(request = %request, method = head.method, target = head.target, "request");
    let key = match head.upgrade.as_deref() {
        Some("websocket") => Some(websocket::accept_key(&head)?),
        _ => None,
    };
    let mut body = Body::new(head.framing);
    if head.expects_continue && !body.is_done() && connection.inbox.is_empty() {
        connection.socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let content = if body.length().is_none_or(|length| length <= INLINE as u64) {
        collect(connection, &mut body).await?
    } else {
        Vec::new()
    };
    if !body.is_done() {
        return Box::pin(upload::upload(connection, head, request, content, body)).await;
    }
    let mut call = api_call(connection, head, request);
    let reading = matches!(call.method.as_str(), "GET" | "HEAD");
    // The copy is for an answer that puts a small body into its place.
    if !content.is_empty() {
        call.body = CallBody::Inline(content.clone());
    }
    let reply = tokio::select! {
        biased;
        reply = connection.hub.call(call) => reply?,
        // Nobody waits for the answer: hulld need not either. A change, though, is never cut short.
        () = connection.socket.gone(), if reading => return Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
    };
    let reply = match reply.body {
        ReplyBody::Sink { sink, body } => {
            store_bytes(content, Arc::new(sink.into_owned())).await.map_err(|error| not_stored(&error))?;
            ApiReply { body: ReplyBody::Inline(body), ..reply }
        }
        body => ApiReply { body, ..reply },
    };
    finish(connection, manner, reply, key).await
}

/// Sends hulld's answer, or becomes what hulld wants of the connection.
pub(crate) async fn finish(
    connection: &mut Connection,
    manner: Manner,
    reply: ApiReply,
    websocket_key: Option<String>,
) -> Result<Persistence, Interruption> {
    let ReplyBody::Upgrade(upgrade) = reply.body else {
        let manner = if connection.hub.is_leaving() { manner.closing() } else { manner };
        return Ok(reply::write(&connection.socket, manner, reply.status, &reply.headers, reply.body).await?);
    };
    let bridged = match (upgrade, websocket_key) {
        (Upgrade::Raw { protocol, stream }, None) => {
            let stream = Descriptor::new(stream.into_owned())?;
            connection.socket.write_all(&reply::switching(&protocol, &reply.headers)).await?;
            Box::pin(raw::bridge(&connection.socket, &mut connection.inbox, &stream)).await
        }
        (Upgrade::Stream { output, input }, Some(key)) => {
            let output = output.map(|fd| Descriptor::new(fd.into_owned())).transpose()?;
            let input = input.map(|fd| Descriptor::new(fd.into_owned())).transpose()?;
            become_websocket(connection, key, reply.headers).await?;
            Box::pin(websocket::bridge_stream(&connection.socket, &mut connection.inbox, output, input)).await
        }
        (Upgrade::Terminal { terminal, process }, Some(key)) => {
            let terminal = Descriptor::new(terminal.into_owned())?;
            let process = Descriptor::new(process.into_owned())?;
            become_websocket(connection, key, reply.headers).await?;
            Box::pin(websocket::bridge_terminal(&connection.socket, &mut connection.inbox, terminal, process)).await
        }
        (Upgrade::Messages(socket), Some(key)) => {
            let packets = Descriptor::new(socket.into_owned())?;
            become_websocket(connection, key, reply.headers).await?;
            Box::pin(websocket::bridge_messages(&connection.socket, &mut connection.inbox, packets)).await
        }
        (Upgrade::Raw { .. }, Some(_)) => return Err(Refusal::bad("this resource is not a websocket").into()),
        (Upgrade::Stream { .. } | Upgrade::Terminal { .. } | Upgrade::Messages(_), None) => {
            return Err(Refusal::new(426, "this resource is a websocket: ask for `Upgrade: websocket`").into());
        }
    };
    bridged?;
    Ok(Persistence::Close)
}

async fn become_websocket(connection: &Connection, key: String, headers: Vec<(String, String)>) -> io::Result<()> {
    let mut headers = headers;
    headers.push(("sec-websocket-accept".into(), key));
    connection.socket.write_all(&reply::switching("websocket", &headers)).await
}

pub(crate) fn api_call(connection: &Connection, head: Head, request: RequestId) -> ApiCall {
    ApiCall {
        token: connection.token,
        request,
        method: head.method,
        target: head.target,
        headers: head.headers,
        body: CallBody::Empty,
        upgrade: head.upgrade,
    }
}

pub(crate) fn not_stored(error: &io::Error) -> Refusal {
    let status = if error.raw_os_error() == Some(nix::libc::ENOSPC) { 507 } else { 500 };
    Refusal::new(status, format!("cannot write the content of the request into its place: {error}"))
}

/// Collects a small body. Stops after [`INLINE`] bytes: then `body` is not done.
async fn collect(connection: &mut Connection, body: &mut Body) -> Result<Vec<u8>, Interruption> {
    let mut content = Vec::new();
    let inbox = &mut connection.inbox;
    loop {
        match body.step(inbox.filled())? {
            Step::Framing(length) => inbox.consume(length),
            Step::Content(length) => {
                let taken = length.min(INLINE - content.len());
                if taken == 0 {
                    return Ok(content);
                }
                content.extend_from_slice(&inbox.filled()[..taken]);
                inbox.consume(taken);
                body.consumed(taken);
            }
            Step::More if connection.patience.receive(inbox, &connection.socket, INLINE).await? == 0 => {
                return Err(upload::truncated().into());
            }
            Step::More => {}
            Step::End => return Ok(content),
        }
    }
}
