//! What all connections share: the way to hulld, and the wishes to end.

use hull_gateway_contract::{ApiCall, ApiReply, Token};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::failure::Refusal;
use crate::line::Line;

pub(crate) struct Hub {
    pub(crate) line: Line,
    /// Every connection's task.
    pub(crate) connections: TaskTracker,
    /// No further requests: idle connections close, busy ones after their answer.
    pub(crate) draining: CancellationToken,
    /// Another gateway takes the new connections: each one here ends with its next answer.
    pub(crate) retiring: CancellationToken,
}

impl Hub {
    pub(crate) fn new() -> Self {
        let (draining, retiring) = (CancellationToken::new(), CancellationToken::new());
        Self { line: Line::new(), connections: TaskTracker::new(), draining, retiring }
    }

    pub(crate) async fn call(&self, call: ApiCall) -> Result<ApiReply, Refusal> {
        self.line.call(call).await
    }

    pub(crate) async fn closed(&self, token: Token) {
        self.line.closed(token).await;
    }

    /// Whether the next answer on a connection is its last.
    pub(crate) fn is_leaving(&self) -> bool {
        self.draining.is_cancelled() || self.retiring.is_cancelled()
    }

    /// Resolves when this gateway has been retired and its last connection has ended.
    pub(crate) async fn retired(&self) {
        self.retiring.cancelled().await;
        self.connections.close();
        self.connections.wait().await;
    }
}
