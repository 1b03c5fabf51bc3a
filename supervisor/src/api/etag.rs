//! ETags: a hash over what a PUT may change, so that two editors do not overwrite each other.

use std::hash::{DefaultHasher, Hash, Hasher};

use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::ApiError;

/// The tag of what `writable` holds now. Opaque to clients, stable within one version of Hull.
pub(crate) fn of(writable: &impl Serialize) -> String {
    let mut hasher = DefaultHasher::new();
    // A value that does not serialise has no tag of its own; it matches no stored one either.
    serde_json::to_string(writable).unwrap_or_default().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Refuses a change that was made against an older state.
pub(crate) fn check(headers: &HeaderMap, writable: &impl Serialize) -> Result<(), ApiError> {
    let Some(wanted) = headers.get(http::header::IF_MATCH).and_then(|value| value.to_str().ok()) else {
        return Ok(());
    };
    let current = of(writable);
    if wanted.trim_matches('"') == current {
        return Ok(());
    }
    Err(ApiError::new(StatusCode::PRECONDITION_FAILED, format!("ETag doesn't match: {wanted} vs {current}")))
}
