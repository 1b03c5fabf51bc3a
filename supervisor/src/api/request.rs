//! What handlers take from a request.

use std::collections::HashMap;

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::ApiError;

/// Who is at the other end of the connection, as the kernel says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let peer = parts.extensions.get::<crate::gateway::PeerCredentials>();
        peer.map(|peer| Self { uid: peer.uid }).ok_or_else(|| ApiError::internal("the request names no peer"))
    }
}

/// A JSON body, with errors in LXD's envelope.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Body(bytes) = Body::from_request(request, state).await?;
        super::document(&bytes).map(Json)
    }
}

/// A small body as it came.
pub(crate) struct Body(pub(crate) bytes::Bytes);

/// Documents may be this long, in bytes; files and images come as streams.
const LONGEST_DOCUMENT: u64 = 4 << 20;

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        use http_body_util::BodyExt;
        let unreadable =
            |error: &dyn std::fmt::Display| ApiError::bad_request(format!("cannot read the body: {error}"));
        if let Some(upload) = crate::gateway::take_upload(request.extensions()) {
            let bytes = upload.read_document(LONGEST_DOCUMENT).await.map_err(|error| unreadable(&error))?;
            return Ok(Self(bytes.into()));
        }
        let collected = request.into_body().collect().await.map_err(|error| unreadable(&error))?;
        Ok(Self(collected.to_bytes()))
    }
}

/// The query, and the project it names.
pub(crate) struct Scope {
    query: HashMap<String, String>,
}

impl Scope {
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.query.get(key).map(String::as_str)
    }

    /// `recursion=N`, 0 if it is not given.
    pub(crate) fn recursion(&self) -> u8 {
        self.value("recursion").and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn project(&self) -> &str {
        self.value("project").filter(|name| !name.is_empty()).unwrap_or("default")
    }

    /// Whether the request is about a project that exists. Changes in one that does not are refused.
    pub(crate) fn require_project(&self) -> Result<(), ApiError> {
        match self.project() {
            "default" => Ok(()),
            _ => Err(ApiError::not_found("Project not found")),
        }
    }

    /// The same for a collection. Each kind has words of its own: `NAME` in them is the project.
    pub(crate) fn require_project_of_list(&self, words: &str) -> Result<(), ApiError> {
        match self.is_elsewhere() {
            false => Ok(()),
            true => Err(ApiError::not_found(format!("{}: Project not found", words.replace("NAME", self.project())))),
        }
    }

    /// Refuses a request for a certain member of a cluster: there is none.
    pub(crate) fn require_no_target(&self) -> Result<(), ApiError> {
        match self.value("target").unwrap_or_default() {
            "" => Ok(()),
            _ => Err(ApiError::not_found("Cluster member not found")),
        }
    }

    /// Whether a collection of this request is that of a project without anything in it.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.project() != "default" && self.value("all-projects") != Some("true")
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Scope {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = axum::extract::Query::<HashMap<String, String>>::from_request_parts(parts, state).await;
        let query = query.map_err(|error| ApiError::bad_request(format!("invalid query: {error}")))?;
        Ok(Self { query: query.0 })
    }
}
