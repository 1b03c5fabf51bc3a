//! Waiting for an operation: its progress is shown, Ctrl-C cancels it.

use super::{ApiError, Server, url};
use crate::interrupt::Interrupts;
use crate::output::Printer;
use anyhow::{Result, bail};
use http::Method;
use hull_api::{Operation, StatusCode};
use std::time::Duration;

/// How the wait appears to the user.
pub(crate) struct Waiting<'a> {
    pub(crate) printer: &'a Printer,
    /// Put before the progress, such as `Retrieving image`. Empty: nothing.
    pub(crate) label: &'a str,
}

/// Waits until `operation` is over and returns its last state. Failure and cancellation are errors.
pub(crate) async fn wait(server: &Server, operation: Operation, waiting: Waiting<'_>) -> Result<Operation> {
    let path = url(&["operations", &operation.id]);
    let wait_path = format!("{path}/wait?timeout=-1");
    let mut end = std::pin::pin!(server.get::<Operation>(&wait_path));
    let mut refresh = tokio::time::interval_at(tokio::time::Instant::now() + REFRESH, REFRESH);
    let mut interrupts = Interrupts::listen()?;
    let mut interrupted = 0;
    let finished = loop {
        tokio::select! {
            result = &mut end => break result,
            _ = refresh.tick(), if waiting.printer.shows_progress() => {
                if let Ok(now) = server.get::<Operation>(&path).await && let Some(text) = progress(&now) {
                    waiting.printer.progress(waiting.label, &text);
                }
            }
            () = interrupts.next() => {
                interrupted += 1;
                let cancelled = server.change(Method::DELETE, &path, &(), "").await;
                if let Err(error) = cancelled && interrupted >= 3 {
                    waiting.printer.progress_done();
                    bail!("the operation goes on without us: it cannot be cancelled ({error})");
                }
            }
        }
    };
    waiting.printer.progress_done();
    judged(finished?)
}

fn judged(operation: Operation) -> Result<Operation> {
    if operation.status_code == StatusCode::SUCCESS {
        return Ok(operation);
    }
    let message = if operation.err.is_empty() { operation.status } else { operation.err };
    Err(ApiError { code: operation.status_code.0, message }.into())
}

/// The first metadata key that ends in `_progress`, in words.
fn progress(operation: &Operation) -> Option<String> {
    let metadata = operation.metadata.as_object()?;
    metadata.iter().find(|(key, _)| key.ends_with("_progress")).and_then(|(_, value)| value.as_str().map(str::to_owned))
}

const REFRESH: Duration = Duration::from_millis(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_progress_key_is_shown() {
        let metadata = serde_json::json!({"download_progress": "metadata: 20%", "other": 1});
        let operation = Operation { metadata, ..Operation::default() };
        assert_eq!(progress(&operation).as_deref(), Some("metadata: 20%"));
    }

    #[test]
    fn a_failure_is_an_error_with_the_servers_words() {
        let failed = Operation { status_code: StatusCode::FAILURE, err: "no space".into(), ..Operation::default() };
        assert_eq!(judged(failed).unwrap_err().to_string(), "no space");
    }
}
