//! Answers the gateway gives by itself, in LXD's envelope.

use hull_gateway_contract::{ApiReply, ReplyBody};

/// Why a request is refused before, or instead of, hulld's answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// The request did not reach hulld or its answer did not come.
    pub(crate) fn unanswered(error: &tarpc::client::RpcError) -> Self {
        use tarpc::client::RpcError;
        match error {
            RpcError::Shutdown | RpcError::Send(_) | RpcError::Channel(_) => {
                Self::new(503, "hulld ended before it answered this request: look whether it was done, then try again")
            }
            RpcError::DeadlineExceeded => Self::new(504, "hulld did not answer within a day"),
            RpcError::Server(error) => Self::new(500, format!("hulld failed to answer: {}", error.detail)),
        }
    }

    /// No hulld came.
    pub(crate) fn absent() -> Self {
        Self::new(503, "hulld is not running: this request did not reach it; try again in a moment")
    }

    pub(crate) fn into_reply(self) -> ApiReply {
        let mut headers = vec![("content-type".into(), "application/json".into())];
        match self.status {
            503 => headers.push(("retry-after".into(), "1".into())),
            426 => headers.push(("sec-websocket-version".into(), "13".into())),
            _ => {}
        }
        let envelope = serde_json::json!({
            "type": "error", "status": "", "status_code": 0, "operation": "",
            "error_code": self.status, "error": self.message, "metadata": null,
        });
        let body = format!("{envelope}\n").into_bytes();
        ApiReply { status: self.status, headers, body: ReplyBody::Inline(body) }
    }
}
