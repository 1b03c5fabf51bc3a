//! All routes.

use axum::Router;
use http::StatusCode;

use super::ApiError;
use crate::hull::Hull;

/// The API, ready to be called with requests that the gateway forwards.
pub(crate) fn router(hull: Hull) -> Router {
    Router::new()
        .merge(crate::server::routes())
        .merge(crate::upgrade::routes())
        .merge(crate::projects::routes())
        .merge(crate::certificates::routes())
        .merge(crate::warnings::routes())
        .merge(crate::metrics::routes())
        .merge(crate::doctor::routes())
        .merge(crate::events::routes())
        .merge(crate::operations::routes())
        .merge(crate::profiles::routes())
        .merge(crate::storage::routes())
        .merge(crate::networks::routes())
        .merge(crate::images::routes())
        .merge(crate::instances::routes())
        .fallback(|| async { ApiError::not_found("not found") })
        .method_not_allowed_fallback(|| async { ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed") })
        .with_state(hull)
}
