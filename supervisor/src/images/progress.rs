//! Showing a driver's progress in the operation that a client watches.

use std::future::Future;
use std::pin::pin;

use hull_plugin::{OperationId, Progress};
use serde_json::{Map, Value, json};
use tokio::sync::broadcast::error::RecvError;

use crate::hull::Hull;
use crate::operations::Handle;

/// Awaits `work`; what its drivers report meanwhile under `op` goes into `operation`'s metadata as `key`.
pub(super) async fn reported<T>(
    hull: &Hull,
    op: &OperationId,
    key: &'static str,
    operation: Option<&Handle>,
    work: impl Future<Output = T>,
) -> T {
    let Some(operation) = operation else { return work.await };
    let mut reports = hull.plugins.progress();
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            result = &mut work => return result,
            report = reports.recv() => match report {
                Ok(report) if report.op == *op => operation.update(metadata(key, &report.progress)),
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return work.await,
            },
        }
    }
}

/// The line that LXD's clients print, and the parts of it.
fn metadata(key: &str, progress: &Progress) -> Map<String, Value> {
    let speed = progress.speed.filter(|speed| *speed > 0).map(|speed| format!(" ({}/s)", bytes(speed))).unwrap_or_default();
    let amount = match (progress.percent, progress.processed) {
        (Some(percent), _) => format!("{percent}%"),
        (None, Some(processed)) => bytes(processed),
        (None, None) => String::new(),
    };
    let line = match amount.is_empty() {
        true => progress.stage.clone(),
        false => format!("{}: {amount}{speed}", progress.stage),
    };
    let number = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
    let parts = json!({
        "stage": progress.stage,
        "percent": number(progress.percent.map(u64::from)),
        "processed": number(progress.processed),
        "speed": number(progress.speed),
    });
    Map::from_iter([(key.to_owned(), Value::String(line)), ("progress".to_owned(), parts)])
}

fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = number as f64; // shown with two digits: the loss is invisible
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{number}B") } else { format!("{value:.2}{}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_as_clients_expect() {
        let progress = Progress { stage: "rootfs".into(), percent: Some(45), processed: None, speed: Some(3_200_000) };
        let shown = metadata("download_progress", &progress);
        assert_eq!(shown["download_progress"], "rootfs: 45% (3.20MB/s)");
        assert_eq!(shown["progress"]["percent"], "45");
        let unknown = Progress { stage: "install packages".into(), percent: None, processed: None, speed: None };
        assert_eq!(metadata("download_progress", &unknown)["download_progress"], "install packages");
    }
}
