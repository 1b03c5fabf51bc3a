//! The deadline and the request id that travel with every request.

use std::time::{Duration, Instant};

use tarpc::context::{self, Context};

/// The longest deadline a peer can ask for; longer ones are cut to it *before* tarpc sees them, because tarpc 0.38
/// panics its connection task on a deadline some years away (its timer wheel) or beyond the clock's range.
pub const MAX_DEADLINE: Duration = Duration::from_secs(24 * 3600);

/// Names one API request in the logs of every process it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct RequestId(pub u128);

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", self.0 & 0xffff_ffff)
    }
}

/// The tarpc context for a call that must be answered within `deadline`.
pub fn context(request: RequestId, deadline: Duration) -> Context {
    let mut context = context::current();
    context.deadline = Instant::now() + deadline.min(MAX_DEADLINE);
    context.trace_context.trace_id = request.0.into();
    context
}

/// The request a handler works for.
pub fn request_id(context: &Context) -> RequestId {
    RequestId(u128::from(context.trace_context.trace_id))
}
