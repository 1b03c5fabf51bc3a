//! What a client is told when something fails: an HTTP status and LXD's error envelope. Codes become statuses here and
//! nowhere else.

use std::fmt;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use hull_plugin::{Code, DriverError, InvalidId, Retry};

use crate::state::StateError;

/// A failed request.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// Seconds after which the same request may succeed.
    pub(crate) retry_after: Option<u64>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry_after: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// As much is under way as may; the same request may succeed in a moment.
    pub(crate) fn overloaded(message: impl Into<String>) -> Self {
        Self { retry_after: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }

    /// Puts this error below a broader statement of what failed.
    #[must_use]
    pub(crate) fn context(mut self, message: impl fmt::Display) -> Self {
        self.message = format!("{message}: {}", self.message);
        self
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

impl From<DriverError> for ApiError {
    fn from(error: DriverError) -> Self {
        let status = match error.code {
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::AlreadyExists | Code::Busy => StatusCode::CONFLICT,
            Code::InvalidConfig | Code::Corrupt | Code::Unsupported => StatusCode::BAD_REQUEST,
            Code::Permission => StatusCode::FORBIDDEN,
            Code::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            Code::Unavailable | Code::Crashed | Code::Overloaded | Code::HandedOver => StatusCode::SERVICE_UNAVAILABLE,
            Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Code::Cancelled | Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let retry_after = match (error.code, error.retry) {
            (Code::Unavailable | Code::Crashed | Code::Overloaded | Code::HandedOver, Retry::After(wait)) => {
                Some(wait.as_secs().max(1))
            }
            _ => None,
        };
        let hint = error.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        Self { status, message: format!("{error}{hint}"), retry_after }
    }
}

impl From<StateError> for ApiError {
    fn from(error: StateError) -> Self {
        let mut message = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        match error {
            StateError::Full { .. } => Self::new(StatusCode::INSUFFICIENT_STORAGE, message),
            _ => Self::internal(message),
        }
    }
}

impl From<InvalidId> for ApiError {
    fn from(error: InvalidId) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "type": "error", "status": "", "status_code": 0, "operation": "",
            "error_code": self.status.as_u16(), "error": self.message, "metadata": null,
        });
        let mut response = (self.status, axum::Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
