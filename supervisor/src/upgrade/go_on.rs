//! The end of an upgrade's operation, by the supervisor that came out of it: the successor, or the former program again.

use chrono::Utc;
use serde_json::{Map, json};

use super::gateway;
use super::run::{Departure, KIND, told};
use crate::api::ApiError;
use crate::hull::Hull;
use crate::keeper::Verdict;
use crate::operations::{Handle, Kept};

/// Takes an upgrade up that an earlier supervisor began; gives anything else back.
pub(crate) fn go_on(hull: &Hull, kept: Kept) -> Option<Kept> {
    if kept.work["kind"] != KIND {
        return Some(kept);
    }
    let departure = serde_json::from_value::<Departure>(kept.work.clone());
    let hull_for_task = hull.clone();
    hull.operations.go_on(kept, move |operation| async move {
        let cut = |_| ApiError::internal("hulld ended unexpectedly before it could be replaced");
        end(&hull_for_task, departure.map_err(cut)?, &operation).await
    });
    None
}

async fn end(hull: &Hull, departure: Departure, operation: &Handle) -> Result<(), ApiError> {
    hull.upgrade.gateways().await;
    let held = u64::try_from(Utc::now().timestamp_millis() - departure.held_at).unwrap_or(0);
    operation.update(told(&departure.from, &departure.to));
    operation.update(Map::from_iter([
        ("stall_ms".to_owned(), json!(held)),
        ("waited_ms".to_owned(), json!(departure.waited_ms)),
    ]));
    let asked = hull.keeper.verdict().await;
    let verdict = asked.map_err(|error| ApiError::internal(format!("the keeper does not say how it went: {error}")))?;
    match verdict {
        Some(Verdict::TookOver) => {}
        Some(Verdict::FellBack { why, .. }) => {
            let program = departure.program.display();
            let message = format!("the new hulld `{program}` {why}; version {} serves on", departure.from);
            tracing::error!(%program, why, "the new hulld did not get ready");
            return Err(ApiError::internal(message));
        }
        None => return Err(ApiError::internal("hulld ended before its successor was started")),
    }
    if departure.gateway {
        gateway::replace(hull, &departure.program, operation).await?;
    }
    Ok(())
}
