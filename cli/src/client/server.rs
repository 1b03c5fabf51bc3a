//! A remote server in one project: requests, answers, refusals.

use super::exchange::{Body, Exchange, empty, full};
use super::{ApiError, Socket};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use hull_api::{Operation, Response, ResponseType};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::PathBuf;

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) socket: PathBuf,
    /// As the user calls it.
    pub(crate) remote: String,
    /// `None` or `default`: not sent.
    pub(crate) project: Option<String>,
}

impl Server {
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        Ok(self.get_tagged(path).await?.0)
    }

    /// The thing at `path` and the tag that a change of it should carry.
    pub(crate) async fn get_tagged<T: DeserializeOwned>(&self, path: &str) -> Result<(T, String)> {
        let exchange = self.exchange(Method::GET, path, HeaderMap::new(), empty()).await?;
        let tag = exchange.header("etag").to_owned();
        let bytes = accepted(exchange).await?;
        let answer: Answer<T> = parse(&bytes, path)?;
        Ok((answer.metadata, tag))
    }

    /// A change that is done when it is answered.
    pub(crate) async fn change(&self, method: Method, path: &str, body: &impl Serialize, tag: &str) -> Result<()> {
        let bytes = self.send(method, path, body, tag).await?;
        parse::<Response>(&bytes, path).map(drop)
    }

    /// A change that goes on as an operation. `None`: the server did it at once.
    pub(crate) async fn start(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
        tag: &str,
    ) -> Result<Option<Operation>> {
        let bytes = self.send(method, path, body, tag).await?;
        operation(&bytes, path)
    }

    /// Like [`Self::start`], with a body and headers of any kind.
    pub(crate) async fn upload(&self, path: &str, headers: HeaderMap, body: Body) -> Result<Bytes> {
        accepted(self.exchange(Method::POST, path, headers, body).await?).await
    }

    /// A request as given; the answer's status has not been looked at.
    pub(crate) async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Exchange> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.target(path))
            .header("Host", "hull")
            .header("User-Agent", concat!("hull/", env!("CARGO_PKG_VERSION")))
            .body(body)
            .with_context(|| format!("`{path}` is not a path on the server"))?;
        request.headers_mut().extend(headers);
        Exchange::send(&self.socket, request).await
    }

    /// The data channel of `operation` that `secret` opens.
    pub(crate) async fn websocket(&self, operation: &Operation, secret: &str) -> Result<Socket> {
        Socket::connect(
            &self.socket,
            &self.target(&format!("{}?secret={secret}", url(&["operations", &operation.id, "websocket"]))),
        )
        .await
    }

    pub(crate) async fn events(&self, query: &str) -> Result<Socket> {
        Socket::connect(&self.socket, &self.target(&format!("/1.0/events{query}"))).await
    }

    async fn send(&self, method: Method, path: &str, body: &impl Serialize, tag: &str) -> Result<Bytes> {
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", http::HeaderValue::from_static("application/json"));
        if let Ok(tag) = tag.parse::<http::HeaderValue>()
            && !tag.is_empty()
        {
            headers.insert("If-Match", tag);
        }
        let body = full(serde_json::to_vec(body).context("cannot write the request")?);
        accepted(self.exchange(method, path, headers, body).await?).await
    }

    fn target(&self, path: &str) -> String {
        match self.project.as_deref() {
            None | Some("" | "default") => path.to_owned(),
            Some(_) if path.contains("project=") => path.to_owned(),
            Some(project) => {
                let separator = if path.contains('?') { '&' } else { '?' };
                format!("{path}{separator}project={}", escape(project))
            }
        }
    }
}

#[derive(serde::Deserialize)]
struct Answer<T> {
    metadata: T,
}

/// The path below `/1.0` with each part escaped.
pub(crate) fn url(parts: &[&str]) -> String {
    parts.iter().fold("/1.0".to_owned(), |path, part| path + "/" + &escape(part))
}

fn escape(part: &str) -> String {
    part.bytes().fold(String::with_capacity(part.len()), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~:".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
        escaped
    })
}

/// The body of an answer that is not a refusal.
pub(crate) async fn accepted(exchange: Exchange) -> Result<Bytes> {
    let status = exchange.parts.status;
    let bytes = exchange.bytes().await?;
    if status.is_success() {
        return Ok(bytes);
    }
    Err(refusal(status, &bytes).into())
}

pub(super) fn refusal(status: http::StatusCode, bytes: &[u8]) -> ApiError {
    match serde_json::from_slice::<Response>(bytes) {
        Ok(answer) if answer.kind == ResponseType::Error => ApiError { code: answer.error_code, message: answer.error },
        _ => ApiError { code: status.as_u16(), message: format!("the server answered {status} without a reason") },
    }
}

fn operation(bytes: &[u8], path: &str) -> Result<Option<Operation>> {
    let answer: Response<Value> = parse(bytes, path)?;
    if answer.kind != ResponseType::Async {
        return Ok(None);
    }
    serde_json::from_value(answer.metadata).with_context(|| format!("the operation of `{path}` is malformed")).map(Some)
}

fn parse<T: DeserializeOwned>(bytes: &[u8], path: &str) -> Result<T> {
    serde_json::from_slice(bytes).with_context(|| format!("the server's answer to `{path}` is malformed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_path_are_escaped() {
        assert_eq!(url(&["images", "aliases", "a/b c"]), "/1.0/images/aliases/a%2Fb%20c");
    }

    #[test]
    fn the_default_project_is_not_sent() {
        let mut server = Server { socket: "/x".into(), remote: "local".into(), project: Some("default".into()) };
        assert_eq!(server.target("/1.0/instances"), "/1.0/instances");
        server.project = Some("blue moon".into());
        assert_eq!(server.target("/1.0/instances?recursion=1"), "/1.0/instances?recursion=1&project=blue%20moon");
    }
}
