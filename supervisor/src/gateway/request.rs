//! From what the gateway parsed to a request for the router.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri};
use hull_gateway_contract::{ApiCall, CallBody};
use hull_plugin::{RequestId, StreamFd};

use super::peers::Peer;

/// In the request's extensions: its body, as a descriptor it can be read from while it arrives. Take it once.
#[derive(Clone, Debug)]
pub struct UploadStream {
    stream: std::sync::Arc<std::sync::Mutex<Option<StreamFd>>>,
    pub length: Option<u64>,
}

/// In the request's extensions: the protocol the client wants to change to (`websocket`, `sftp`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeWish(pub String);

impl UploadStream {
    fn new(stream: StreamFd, length: Option<u64>) -> Self {
        Self { stream: std::sync::Arc::new(std::sync::Mutex::new(Some(stream))), length }
    }

    /// The descriptor, the first time.
    pub fn take(&self) -> Option<StreamFd> {
        self.stream.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

/// # Errors
/// What in the call is no HTTP.
pub(super) fn from_call(call: ApiCall, peer: Peer) -> Result<Request<Body>, String> {
    let ApiCall { request, method, target, headers, body, upgrade, .. } = call;
    let mut built = Request::new(Body::empty());
    *built.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|error| format!("method: {error}"))?;
    *built.uri_mut() = Uri::try_from(target).map_err(|error| format!("target: {error}"))?;
    for (name, value) in headers {
        let name = HeaderName::try_from(name).map_err(|error| format!("header: {error}"))?;
        let value = HeaderValue::try_from(value).map_err(|error| format!("header `{name}`: {error}"))?;
        built.headers_mut().append(name, value);
    }
    match body {
        CallBody::Empty => {}
        CallBody::Inline(bytes) => *built.body_mut() = Body::from(bytes),
        CallBody::Stream { stream, length } => _ = built.extensions_mut().insert(UploadStream::new(stream, length)),
    }
    built.extensions_mut().insert(peer);
    built.extensions_mut().insert::<RequestId>(request);
    if let Some(protocol) = upgrade {
        built.extensions_mut().insert(UpgradeWish(protocol));
    }
    Ok(built)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_gateway_contract::Token;

    #[test]
    fn what_is_no_http_is_refused_and_the_rest_arrives() {
        let peer = Peer { user: 7, group: 8, process: 9 };
        let call = |method: &str, name: &str| ApiCall {
            token: Token(1),
            request: RequestId(5),
            method: method.into(),
            target: "/1.0?x=1".into(),
            headers: vec![(name.into(), "v".into())],
            body: CallBody::Inline(b"{}".to_vec()),
            upgrade: Some("websocket".into()),
        };
        let request = from_call(call("PUT", "etag"), peer).unwrap();
        assert_eq!(request.uri().query(), Some("x=1"));
        assert_eq!(request.extensions().get::<Peer>(), Some(&peer));
        assert_eq!(request.extensions().get::<RequestId>(), Some(&RequestId(5)));
        assert_eq!(request.extensions().get(), Some(&UpgradeWish("websocket".into())));
        assert!(from_call(call("P T", "etag"), peer).is_err());
        assert!(from_call(call("GET", "e tag"), peer).is_err());
    }
}
