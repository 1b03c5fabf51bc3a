//! What all connections share: the way to hulld, and the wish to end.

use std::time::Duration;

use hull_gateway_contract::{ApiCall, ApiClient, ApiReply, Token};
use hull_wire::{MAX_DEADLINE, RequestId};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::failure::Refusal;

pub(crate) struct Hub {
    pub(crate) api: ApiClient,
    /// Every connection's task.
    pub(crate) connections: TaskTracker,
    /// No further requests: idle connections close, busy ones after their answer.
    pub(crate) draining: CancellationToken,
}

const CLOSED_DEADLINE: Duration = Duration::from_secs(10);

impl Hub {
    pub(crate) async fn call(&self, call: ApiCall) -> Result<ApiReply, Refusal> {
        let context = hull_wire::context(call.request, MAX_DEADLINE);
        self.api.call(context, call).await.map_err(|error| {
            tracing::warn!(%error, "a request was not answered by hulld");
            Refusal::unanswered(&error)
        })
    }

    pub(crate) async fn closed(&self, token: Token) {
        let context = hull_wire::context(RequestId(0), CLOSED_DEADLINE);
        if let Err(error) = self.api.closed(context, token).await {
            tracing::debug!(%error, "hulld was not told of a closed connection");
        }
    }
}
