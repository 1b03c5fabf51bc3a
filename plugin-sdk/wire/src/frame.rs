//! What stands on the wire: our own envelopes around tarpc's messages, so that nothing a peer writes is decoded into a
//! tarpc type (its deadline decoder panics on absurd values).

use std::io;
use std::time::{Duration, Instant};

use bincode::config::{Configuration, Limit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tarpc::{ClientMessage, Request, Response, ServerError};

use crate::deadline::{MAX_DEADLINE, RequestId, context};

pub(crate) const MAX_FRAME: usize = 64 * 1024;

const CONFIG: Configuration<bincode::config::LittleEndian, bincode::config::Varint, Limit<MAX_FRAME>> =
    bincode::config::standard().with_limit::<MAX_FRAME>();

#[derive(Serialize, Deserialize)]
pub(crate) enum Call<T> {
    Request { id: u64, deadline_micros: u64, request: RequestId, body: T },
    Cancel { id: u64, request: RequestId },
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Reply<T> {
    Answer { id: u64, body: T },
    Failed { id: u64, detail: String },
}

impl<T> Call<T> {
    /// `None`: a kind of message that this version of the wire does not know.
    pub(crate) fn from_tarpc(message: ClientMessage<T>) -> Option<Self> {
        match message {
            ClientMessage::Request(Request { context, id, message: body, .. }) => {
                let left = context.deadline.saturating_duration_since(Instant::now()).min(MAX_DEADLINE);
                let deadline_micros = u64::try_from(left.as_micros()).unwrap_or(u64::MAX);
                Some(Call::Request { id, deadline_micros, request: request_of(&context), body })
            }
            ClientMessage::Cancel { trace_context, request_id, .. } => {
                Some(Call::Cancel { id: request_id, request: RequestId(u128::from(trace_context.trace_id)) })
            }
            _ => None,
        }
    }

    pub(crate) fn into_tarpc(self) -> ClientMessage<T> {
        match self {
            Call::Request { id, deadline_micros, request, body } => {
                let context = context(request, Duration::from_micros(deadline_micros));
                ClientMessage::Request(Request { context, id, message: body })
            }
            Call::Cancel { id, request } => {
                let trace_context = context(request, Duration::ZERO).trace_context;
                ClientMessage::Cancel { trace_context, request_id: id }
            }
        }
    }
}

impl<T> Reply<T> {
    pub(crate) fn id(&self) -> u64 {
        match self {
            Reply::Answer { id, .. } | Reply::Failed { id, .. } => *id,
        }
    }

    pub(crate) fn from_tarpc(response: Response<T>) -> Self {
        match response.message {
            Ok(body) => Reply::Answer { id: response.request_id, body },
            Err(error) => Reply::Failed { id: response.request_id, detail: error.to_string() },
        }
    }

    pub(crate) fn into_tarpc(self) -> Response<T> {
        match self {
            Reply::Answer { id, body } => Response { request_id: id, message: Ok(body) },
            Reply::Failed { id, detail } => {
                Response { request_id: id, message: Err(ServerError::new(io::ErrorKind::Other, detail)) }
            }
        }
    }
}

pub(crate) fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let bytes = bincode::serde::encode_to_vec(value, CONFIG).map_err(io::Error::other)?;
    if bytes.len() > MAX_FRAME {
        return Err(io::Error::other(format!(
            "a message of {} bytes does not fit a frame of {MAX_FRAME}; larger things travel by descriptor",
            bytes.len()
        )));
    }
    Ok(bytes)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    let (value, read) = bincode::serde::decode_from_slice(bytes, CONFIG).map_err(io::Error::other)?;
    if read != bytes.len() {
        return Err(io::Error::other(format!("{} bytes after the end of the message", bytes.len() - read)));
    }
    Ok(value)
}

fn request_of(context: &tarpc::context::Context) -> RequestId {
    crate::deadline::request_id(context)
}
