//! All routes.

use axum::Router;
use http::StatusCode;

use super::ApiError;
use crate::hull::Hull;

/// The API, ready to be called with requests that the gateway forwards.
pub(crate) fn router(hull: Hull) -> Router {
    let routes = Router::new()
        .merge(crate::server::routes())
        .merge(crate::upgrade::routes())
        .merge(crate::projects::routes())
        .merge(crate::certificates::routes())
        .merge(crate::warnings::routes())
        .merge(crate::metrics::routes())
        .merge(crate::doctor::routes())
        .merge(crate::events::routes())
        .merge(crate::operations::routes())
        .merge(crate::plugins::routes())
        .merge(crate::profiles::routes())
        .merge(crate::storage::routes())
        .merge(crate::networks::routes())
        .merge(crate::images::routes())
        .merge(crate::instances::routes())
        .fallback(|| async { ApiError::not_found("not found") })
        .method_not_allowed_fallback(|| async { ApiError::new(StatusCode::NOT_IMPLEMENTED, "not implemented") })
        .with_state(hull);
    // Around the routes, not on each of them: it decides before a route is chosen.
    Router::new().fallback_service(routes).layer(axum::middleware::from_fn(super::method::as_lxd))
}
