//! Methods that an endpoint does not have, answered as LXD answers them.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};

use super::ApiError;

/// Known to the API, though no endpoint has all of them.
const METHODS: [Method; 6] = [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH, Method::HEAD];

/// Any other method is not found, one that the endpoint lacks is not implemented, and only files have a `HEAD`.
pub(super) async fn as_lxd(mut request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        return StatusCode::OK.into_response();
    }
    if !METHODS.contains(request.method()) {
        return ApiError::not_found(format!("Method {:?} not found", request.method().as_str())).into_response();
    }
    if request.method() == Method::HEAD && !request.uri().path().ends_with("/files") {
        // The router would take the endpoint's GET; this way it says whether there is such an endpoint.
        *request.method_mut() = Method::TRACE;
    }
    let mut response = next.run(request).await;
    if response.status() == StatusCode::NOT_IMPLEMENTED {
        response.headers_mut().remove(header::ALLOW);
    }
    response
}
