//! From the router's response to what the gateway sends: small bodies inline, big ones as sealed memory.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use hull_gateway_contract::{ApiReply, INLINE, ReplyBody};
use hull_plugin::FileFd;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// In a response's extensions: its body is this descriptor, or the connection is to become something else.
#[derive(Clone)]
pub struct DescriptorBody(Arc<Mutex<Option<ReplyBody>>>);

impl DescriptorBody {
    pub fn new(body: ReplyBody) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    fn take(&self) -> Option<ReplyBody> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

pub(super) async fn from_response(response: Response<Body>) -> ApiReply {
    let (mut parts, body) = response.into_parts();
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let status = parts.status.as_u16();
    let special = parts.extensions.remove::<DescriptorBody>().and_then(|body| body.take());
    let body = match special {
        Some(body) => Ok(body),
        None => match body.collect().await {
            Ok(collected) => plain(collected.to_bytes()),
            Err(error) => Err(std::io::Error::other(error)),
        },
    };
    match body {
        Ok(body) => ApiReply { status, headers, body },
        Err(error) => refusal(500, &format!("cannot send the answer: {error}")),
    }
}

/// An answer of LXD's form.
pub(super) fn refusal(status: u16, message: &str) -> ApiReply {
    let body = serde_json::json!({ "type": "error", "status": "", "status_code": 0, "operation": "",
        "error_code": status, "error": message, "metadata": null });
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    ApiReply { status, headers, body: ReplyBody::Inline(body.to_string().into_bytes()) }
}

fn plain(bytes: Bytes) -> std::io::Result<ReplyBody> {
    if bytes.len() <= INLINE {
        return Ok(ReplyBody::Inline(bytes.into()));
    }
    let memory = memfd_create(c"answer", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut file = std::fs::File::from(memory);
    file.write_all(&bytes)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    let length = u64::try_from(bytes.len()).map_err(std::io::Error::other)?;
    Ok(ReplyBody::File { file: FileFd::new(file), start: 0, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn big_bodies_travel_as_memory_and_small_ones_inline() {
        let small = from_response(Response::new(Body::from("x"))).await;
        assert!(matches!(small.body, ReplyBody::Inline(bytes) if bytes == b"x"));
        let big = from_response(Response::new(Body::from(vec![7; INLINE + 1]))).await;
        let ReplyBody::File { file, start: 0, length } = big.body else { panic!("not a file") };
        assert_eq!(length, INLINE as u64 + 1);
        assert_eq!(hull_sys::descriptor::kind(&file).unwrap(), hull_sys::descriptor::Kind::SealedMemory);
    }

    #[tokio::test]
    async fn a_response_can_bring_its_own_descriptor() {
        let mut response = Response::new(Body::empty());
        let stream = hull_plugin::StreamFd::new(std::fs::File::open("/dev/null").unwrap());
        response.extensions_mut().insert(DescriptorBody::new(ReplyBody::Stream(stream)));
        assert!(matches!(from_response(response).await.body, ReplyBody::Stream(_)));
    }
}
