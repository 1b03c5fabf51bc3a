//! The way to hulld. It may be held, or missing for a moment: hulld is replaced while clients are connected.
//!
//! ```text
//! absent ──attached──▶ open ──hold──▶ held ──┐
//!   ▲  ▲                │  ▲───── release ───┤
//!   │  └─ channel broke ┘                    │
//!   └──────────── its hulld left ◀───────────┘          ended: no hulld will come any more
//! ```
//! A call waits until the line is open. One that only reads is repeated on the next hulld when its own leaves; whether a
//! change that got no answer was made, nobody here can know: its client is told so.

use std::time::Duration;

use hull_gateway_contract::{ApiCall, ApiClient, ApiReply, CallBody, Token};
use hull_wire::{MAX_DEADLINE, RequestId};
use tarpc::client::RpcError;
use tokio::sync::watch;

use crate::failure::Refusal;

/// How long a request waits for a hulld to come: longer than a failed successor takes to be replaced.
const PATIENCE: Duration = Duration::from_secs(30);
const CLOSED_DEADLINE: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct Line {
    state: watch::Sender<State>,
    /// Calls that hulld has not answered.
    under_way: watch::Sender<usize>,
}

#[derive(Clone)]
enum State {
    Absent,
    Open(Attached),
    Held(Attached),
    Ended,
}

#[derive(Clone)]
struct Attached {
    /// Tells one hulld from the next.
    number: u64,
    api: ApiClient,
}

/// What may be done with a call that is not answered yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Take it back at any time, and repeat it.
    Reads,
    /// Wait for its answer; repeat it if hulld ended without one. It takes something that exists once.
    Takes,
    /// Wait for its answer; never repeat it.
    Changes,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self { state: watch::Sender::new(State::Absent), under_way: watch::Sender::new(0) }
    }

    /// Calls go to this hulld from now on.
    pub(crate) fn attach(&self, number: u64, api: ApiClient) {
        self.state.send_replace(State::Open(Attached { number, api }));
    }

    /// The channel to hulld `number` broke. Nothing if another has been attached since.
    pub(crate) fn lost(&self, number: u64) {
        self.state.send_if_modified(|state| {
            let current = matches!(state, State::Open(of) | State::Held(of) if of.number == number);
            if current {
                *state = State::Absent;
            }
            current
        });
    }

    /// No hulld will come: whoever waits for one is refused.
    pub(crate) fn end(&self) {
        self.state.send_replace(State::Ended);
    }

    /// Returns when nothing is under way to hulld, and nothing goes there any more.
    pub(crate) async fn hold(&self) {
        self.state.send_if_modified(|state| match state {
            State::Open(attached) => {
                *state = State::Held(attached.clone());
                true
            }
            _ => false,
        });
        // Fails only without a sender, and `self` is one.
        let _ = self.under_way.subscribe().wait_for(|number| *number == 0).await;
    }

    pub(crate) fn release(&self) {
        self.state.send_if_modified(|state| match state {
            State::Held(attached) => {
                *state = State::Open(attached.clone());
                true
            }
            _ => false,
        });
    }

    /// Asks hulld: this one, or the next if this one leaves without an answer.
    pub(crate) async fn call(&self, call: ApiCall) -> Result<ApiReply, Refusal> {
        let (kind, mut next) = (Kind::of(&call), Some(call));
        loop {
            let attached = self.open().await?;
            let Some(call) = next.take() else { return Err(Refusal::absent()) };
            next = if kind == Kind::Changes { None } else { copy(&call) };
            let context = hull_wire::context(call.request, MAX_DEADLINE);
            let _under_way = self.begin();
            let answer = tokio::select! {
                biased;
                answer = attached.api.call(context, call) => answer,
                () = self.held(), if kind == Kind::Reads => continue,
            };
            match answer {
                Ok(reply) => return Ok(reply),
                Err(error) if is_broken(&error) => {
                    self.lost(attached.number);
                    if next.is_none() {
                        tracing::warn!(%error, "a request was not answered by hulld");
                        return Err(Refusal::unanswered(&error));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a request was not answered by hulld");
                    return Err(Refusal::unanswered(&error));
                }
            }
        }
    }

    /// Tells hulld that a connection has ended, however long there is none: one that never hears of it counts it for ever.
    pub(crate) async fn closed(&self, token: Token) {
        while let Some(attached) = self.open_at_last().await {
            let context = hull_wire::context(RequestId(0), CLOSED_DEADLINE);
            let _under_way = self.begin();
            match attached.api.closed(context, token).await {
                Ok(()) => return,
                Err(error) if is_broken(&error) => self.lost(attached.number),
                Err(RpcError::DeadlineExceeded) => {}
                Err(error) => return tracing::debug!(%error, "hulld was not told of a closed connection"),
            }
        }
    }

    async fn open(&self) -> Result<Attached, Refusal> {
        let opened = tokio::time::timeout(PATIENCE, self.open_at_last()).await;
        opened.ok().flatten().ok_or_else(Refusal::absent)
    }

    /// `None`: no hulld will come.
    async fn open_at_last(&self) -> Option<Attached> {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| matches!(state, State::Open(_) | State::Ended)).await;
        match &*settled.ok()? {
            State::Open(attached) => Some(attached.clone()),
            _ => None,
        }
    }

    async fn held(&self) {
        let _ = self.state.subscribe().wait_for(|state| matches!(state, State::Held(_))).await;
    }

    fn begin(&self) -> UnderWay<'_> {
        self.under_way.send_modify(|number| *number += 1);
        UnderWay(&self.under_way)
    }
}

struct UnderWay<'a>(&'a watch::Sender<usize>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|number| *number -= 1);
    }
}

impl Kind {
    fn of(call: &ApiCall) -> Self {
        match call.method.as_str() {
            "GET" if call.upgrade.as_deref().is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket")) => {
                Self::Takes
            }
            "GET" | "HEAD" => Self::Reads,
            _ => Self::Changes,
        }
    }
}

/// `None`: its body is a stream, and can be read only once.
fn copy(call: &ApiCall) -> Option<ApiCall> {
    let body = match &call.body {
        CallBody::Empty => CallBody::Empty,
        CallBody::Inline(bytes) => CallBody::Inline(bytes.clone()),
        CallBody::Stream { .. } => return None,
    };
    Some(ApiCall {
        token: call.token,
        request: call.request,
        method: call.method.clone(),
        target: call.target.clone(),
        headers: call.headers.clone(),
        body,
        upgrade: call.upgrade.clone(),
    })
}

fn is_broken(error: &RpcError) -> bool {
    matches!(error, RpcError::Shutdown | RpcError::Send(_) | RpcError::Channel(_))
}
