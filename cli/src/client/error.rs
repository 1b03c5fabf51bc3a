//! A refusal by the server: its code and its words.

use std::fmt;

#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) code: u16,
    pub(crate) message: String,
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

impl ApiError {
    /// Whether `error` says that there is such a thing already.
    pub(crate) fn is_conflict(error: &anyhow::Error) -> bool {
        error.downcast_ref::<Self>().is_some_and(|refusal| refusal.code == 409)
    }

    /// Whether `error` says that the thing asked for does not exist.
    pub(crate) fn is_not_found(error: &anyhow::Error) -> bool {
        error.downcast_ref::<Self>().is_some_and(|refusal| refusal.code == 404)
    }
}
