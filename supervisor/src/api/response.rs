//! LXD's envelopes.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::{ApiError, etag_of};

/// What every handler returns.
pub(crate) type Reply = Result<Response, ApiError>;

#[derive(Serialize)]
struct Sync<'a, T: Serialize> {
    r#type: &'static str,
    status: &'static str,
    status_code: u16,
    operation: &'static str,
    error_code: u16,
    error: &'static str,
    metadata: &'a T,
}

/// A finished request with its result.
pub(crate) fn sync<T: Serialize>(metadata: &T) -> Reply {
    let envelope =
        Sync { r#type: "sync", status: "Success", status_code: 200, operation: "", error_code: 0, error: "", metadata };
    Ok(axum::Json(envelope).into_response())
}

/// The same with the tag of what a PUT may change.
pub(crate) fn sync_tagged<T: Serialize>(metadata: &T, writable: &impl Serialize) -> Reply {
    let mut response = sync(metadata)?;
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", etag_of(writable))) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// A finished request without a result.
pub(crate) fn empty() -> Reply {
    sync(&serde_json::Map::new())
}

/// A finished request that made something.
pub(crate) fn created(location: &str) -> Reply {
    let mut response = empty()?;
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}
