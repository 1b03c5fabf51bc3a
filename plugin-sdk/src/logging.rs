//! Logs go to stderr, one line each; Hull adds the plugin's name. Every line names the API request it belongs to.

use std::cell::Cell;

use hull_wire::RequestId;
use tracing_subscriber::EnvFilter;

tokio::task_local! {
    static REQUEST: Cell<RequestId>;
}

/// Sets the process's logging up: level by `HULL_LOG` (default `info`), plain text, no time (Hull stamps the lines).
pub fn init() {
    let filter = EnvFilter::try_from_env("HULL_LOG").unwrap_or_else(|_| EnvFilter::new("info,tarpc=error"));
    let format = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call (two drivers in one test process) keeps the first subscriber.
    let _ = format.with_ansi(false).without_time().try_init();
}

/// The request the current task works for, or zero.
pub(crate) fn current_request() -> RequestId {
    REQUEST.try_with(Cell::get).unwrap_or(RequestId(0))
}

pub(crate) async fn within_request<T>(request: RequestId, future: impl Future<Output = T>) -> T {
    use tracing::Instrument;
    let span = tracing::info_span!("request", id = %request);
    REQUEST.scope(Cell::new(request), future.instrument(span)).await
}
