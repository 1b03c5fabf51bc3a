//! hulld's log: one line an event on stderr, each naming the API request it belongs to.

use std::future::Future;

use hull_plugin::RequestId;
use tracing::Instrument;
use tracing_subscriber::EnvFilter;

tokio::task_local! {
    static REQUEST: RequestId;
}

/// Sets the process's logging up: level by `HULL_LOG` (default `info`).
pub fn init() {
    let filter = EnvFilter::try_from_env("HULL_LOG").unwrap_or_else(|_| EnvFilter::new("info,tarpc=off"));
    let format = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call (several tests in one process) keeps the first subscriber.
    let _ = format.with_ansi(false).try_init();
}

/// Runs `future` as work for `request`: its lines and the calls it makes to plugins carry the id.
pub async fn within_request<T>(request: RequestId, future: impl Future<Output = T>) -> T {
    REQUEST.scope(request, future.instrument(tracing::info_span!("request", id = %request))).await
}

/// The request the current task works for; zero for hulld's own work.
pub fn current_request() -> RequestId {
    REQUEST.try_with(|request| *request).unwrap_or(RequestId(0))
}
