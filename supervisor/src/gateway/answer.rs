//! Turning calls into requests for the router, and its responses into replies.

use std::collections::HashMap;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hull_gateway_contract::{Api, ApiCall, ApiReply, CallBody, INLINE, ReplyBody, Token, Upgrade};
use hull_wire::FileFd;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use tarpc::context::Context;
use tower::ServiceExt;
use tracing::Instrument;

use super::body::UploadStream;
use super::table::Connections;
use crate::api::ApiError;

/// A response whose body is not bytes but descriptors.
pub(crate) fn descriptor_response(body: ReplyBody) -> Response {
    let mut response = Body::empty().into_response();
    response.extensions_mut().insert(DescriptorBody(Arc::new(Mutex::new(Some(body)))));
    response
}

/// A response that changes the connection's protocol.
pub(crate) fn upgrade_response(upgrade: Upgrade) -> Response {
    let mut response = descriptor_response(ReplyBody::Upgrade(upgrade));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response
}

/// Responses' extensions must be `Clone`; the body is taken once.
#[derive(Clone)]
struct DescriptorBody(Arc<Mutex<Option<ReplyBody>>>);

/// Serves the gateway's calls.
#[derive(Clone)]
pub(super) struct Answerer {
    pub(super) router: Router,
    pub(super) connections: Connections,
    under_way: Arc<Mutex<HashMap<u64, String>>>,
}

impl Api for Answerer {
    async fn call(self, _: Context, call: ApiCall) -> ApiReply {
        let span = tracing::info_span!("request", id = %call.request, method = %call.method, target = %call.target);
        let _noted = Noted::new(&self.under_way, &call);
        // A task of its own: a client that goes away stops nothing half-way.
        let handled = tokio::spawn(self.handle(call).instrument(span)).await;
        match handled {
            Ok(reply) => reply,
            Err(error) => {
                reply(ApiError::internal(format!("the handler of this request failed: {error}")).into_response()).await
            }
        }
    }

    async fn closed(self, _: Context, token: Token) {
        self.connections.closed(token);
    }
}

impl Answerer {
    pub(super) fn new(router: Router, connections: Connections) -> Self {
        Self { router, connections, under_way: Arc::default() }
    }

    /// The changes that have not been answered yet: `POST /1.0/instances`.
    pub(super) fn busy(&self) -> Vec<String> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    async fn handle(self, call: ApiCall) -> ApiReply {
        let Some(peer) = self.connections.peer(call.token) else {
            return reply(
                ApiError::new(StatusCode::FORBIDDEN, "the connection of this request is not open").into_response(),
            )
            .await;
        };
        let arriving = Arriving { connections: self.connections.clone(), token: call.token };
        let request = match request_of(call, arriving) {
            Ok(mut request) => {
                request.extensions_mut().insert(peer);
                request
            }
            Err(error) => {
                return reply(ApiError::bad_request(format!("malformed request: {error}")).into_response()).await;
            }
        };
        let response = self.router.oneshot(request).await.unwrap_or_else(|never| match never {});
        reply(response).await
    }
}

/// A change that is being answered.
struct Noted(Arc<Mutex<HashMap<u64, String>>>, u64);

impl Noted {
    fn new(under_way: &Arc<Mutex<HashMap<u64, String>>>, call: &ApiCall) -> Option<Self> {
        let changes = !matches!(call.method.as_str(), "GET" | "HEAD");
        changes.then(|| {
            let number = rand::random();
            let text = format!("{} {}", call.method, call.target);
            under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(number, text);
            Self(under_way.clone(), number)
        })
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

fn request_of(call: ApiCall, arriving: Arriving) -> http::Result<Request<Body>> {
    let mut builder = Request::builder().method(call.method.as_str()).uri(call.target);
    for (name, value) in &call.headers {
        builder = builder.header(name, value);
    }
    match call.body {
        CallBody::Empty => builder.body(Body::empty()),
        CallBody::Inline(bytes) => builder.body(Body::from(bytes)),
        CallBody::Stream { stream, length } => {
            let upload = Arc::new(Mutex::new(Some(UploadStream { stream, length, arriving })));
            builder.extension(PendingUpload(upload)).body(Body::empty())
        }
    }
}

/// Whether the connection is open that a large body comes from: a pipe ends in the same way when the client has sent all
/// and when it has gone, and the gateway tells of the latter first.
pub(crate) struct Arriving {
    connections: Connections,
    token: Token,
}

impl Arriving {
    pub(crate) fn is_open(&self) -> bool {
        self.connections.peer(self.token).is_some()
    }
}

/// Requests' extensions must be `Clone`; the stream is taken once.
#[derive(Clone)]
struct PendingUpload(Arc<Mutex<Option<UploadStream>>>);

impl PendingUpload {
    fn take(&self) -> Option<UploadStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The large body of a request, if it has one. Only once.
pub(crate) fn take_upload(extensions: &http::Extensions) -> Option<UploadStream> {
    extensions.get::<PendingUpload>().and_then(PendingUpload::take)
}

async fn reply(response: Response) -> ApiReply {
    let (parts, body) = response.into_parts();
    let headers = parts.headers.iter().filter(|(name, _)| **name != http::header::CONTENT_LENGTH);
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let descriptors = parts.extensions.get::<DescriptorBody>();
    let descriptors = descriptors.and_then(|body| body.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    let body = match descriptors {
        Some(body) => Ok(body),
        None => bytes_body(body).await,
    };
    match body {
        Ok(body) => ApiReply { status: parts.status.as_u16(), headers, body },
        Err(error) => {
            ApiReply { status: 500, headers: Vec::new(), body: ReplyBody::Inline(error.to_string().into_bytes()) }
        }
    }
}

async fn bytes_body(body: Body) -> std::io::Result<ReplyBody> {
    let bytes = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    if bytes.len() <= INLINE {
        return Ok(ReplyBody::Inline(bytes.to_vec()));
    }
    let memory = memfd_create(c"reply", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut file = std::fs::File::from(memory);
    file.write_all(&bytes)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(file.as_fd(), FcntlArg::F_ADD_SEALS(seals))?;
    Ok(ReplyBody::File { file: FileFd::new(file), start: 0, length: bytes.len() as u64 })
}
