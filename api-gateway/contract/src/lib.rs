//! What the gateway and hulld say to each other. The gateway parses HTTP; hulld decides.
//!
//! hulld accepts every connection itself, notes who the peer is, and hands the descriptor over with a token
//! ([`Gateway::connection`]). A request comes back with that token ([`Api::call`]), so that a hijacked gateway can act only for
//! connections that are open. No bulk byte travels in these messages: bodies above [`INLINE`] bytes and all streams are
//! descriptors.

use hull_wire::{FileFd, ProcessFd, RequestId, SocketFd, StreamFd};
use serde::{Deserialize, Serialize};

/// The largest body that travels inside a message, in bytes. Leaves room for headers in a 64 KiB frame.
pub const INLINE: usize = 32 * 1024;

/// The one descriptor a gateway is started with. hullds attach themselves here, one after the other: each sends a packet
/// [`ATTACH`] with two descriptors, the serving end of a [`Gateway`] channel and the calling end of an [`Api`] channel. A
/// gateway outlives the hulld that started it; the end of this socket is its own.
pub const ATTACH_FD: i32 = 3;
/// Names the contract, so that a gateway of another one does not take the channels.
pub const ATTACH: &[u8] = b"hull-gateway/1";

/// An open connection that hulld accepted. Unguessable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Token(pub u128);

/// Served by the gateway.
#[tarpc::service]
pub trait Gateway {
    /// Speaks HTTP on `connection` until it ends. Answers at once.
    async fn connection(connection: SocketFd, token: Token);
    /// Alive and able to answer.
    async fn health() -> bool;
    /// Takes no more connections, closes idle ones, and answers when the running requests are done.
    async fn drain();
    /// Sends no further call, and answers when none is on its way: those that only read are taken back, to be repeated
    /// later; the others have had their answers. Ends with [`Gateway::release`] or when the next hulld is attached.
    async fn hold();
    async fn release();
    /// Another gateway takes the new connections. Each connection here ends with its next answer, one that stays idle after
    /// some minutes; with the last the process ends. Answers at once.
    async fn retire();
}

/// Served by hulld.
#[tarpc::service]
pub trait Api {
    async fn call(call: ApiCall) -> ApiReply;
    /// The connection has ended; its token is void.
    async fn closed(token: Token);
}

#[derive(Debug, Serialize, Deserialize)]
pub struct ApiCall {
    pub token: Token,
    pub request: RequestId,
    pub method: String,
    /// Path and query, as received.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: CallBody,
    /// The client asks for a change of protocol (`websocket`, `sftp`).
    pub upgrade: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum CallBody {
    Empty,
    Inline(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The body is written into this pipe as it arrives (it may still be arriving); closed early, the rest is dropped.
    Stream {
        stream: StreamFd,
        length: Option<u64>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub struct ApiReply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: ReplyBody,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum ReplyBody {
    Inline(#[serde(with = "serde_bytes")] Vec<u8>),
    /// This many bytes of a file, from its offset `start`: sent without copying where the kernel can.
    File {
        file: FileFd,
        start: u64,
        length: u64,
    },
    /// One after the other: a document made around files.
    Pieces(Vec<Piece>),
    /// Whatever comes, until the end (chunked).
    Stream(StreamFd),
    /// The bytes of the request's body go here; when all are written, `status` and `headers` are sent with `body`.
    /// For uploads straight into their place.
    Sink {
        sink: FileFd,
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    },
    /// Switch protocols, then bridge.
    Upgrade(Upgrade),
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Piece {
    Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
    /// This many bytes of a file, from its start.
    File {
        file: FileFd,
        length: u64,
    },
}

impl Piece {
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }
}

/// What a connection becomes.
#[derive(Debug, Serialize, Deserialize)]
pub enum Upgrade {
    /// A websocket of binary frames bridged to a byte stream. `output`: read and sent to the client; its end is sent as an
    /// empty text message followed by a close. `input`: what the client sends is written there; an empty text message
    /// closes it. A terminal comes as both.
    Stream { output: Option<StreamFd>, input: Option<StreamFd> },
    /// The same for the terminal of a process: what others write after its end is not sent.
    Terminal { terminal: StreamFd, process: ProcessFd },
    /// A websocket of text messages, each one packet of this `SOCK_SEQPACKET` socket, both ways. Its end closes the
    /// websocket and the other way round.
    Messages(SocketFd),
    /// `101 Switching Protocols` to this protocol, then bytes both ways.
    Raw { protocol: String, stream: StreamFd },
}
