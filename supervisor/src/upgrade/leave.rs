//! The moment to leave: nothing is under way that would be cut.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use http::StatusCode;

use crate::api::ApiError;
use crate::gateway::Gateways;
use crate::hull::Hull;

/// Between two looks for a quiet moment.
const PAUSE: Duration = Duration::from_millis(5);
/// Calls of a quiet moment have their answers at once; so long everybody waits if not.
const HELD: Duration = Duration::from_secs(2);

/// Returns with all calls held and no operation running that would be cut, and says since when they are held.
///
/// # Errors
/// There was no such moment until `deadline`: calls go on, and the error names what was busy.
pub(super) async fn hold(hull: &Hull, deadline: Instant) -> Result<DateTime<Utc>, ApiError> {
    let gateways = hull.upgrade.gateways().await;
    // Where operations follow one another without a pause, new ones have to wait in the end: once.
    let insist_at = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
    let mut insisted = false;
    loop {
        let busy = busy(hull, &gateways);
        let now = Instant::now();
        if now >= deadline && !busy.is_empty() {
            return Err(refused(&busy));
        }
        if !busy.is_empty() && (now < insist_at || insisted) {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        insisted |= !busy.is_empty();
        let (held_at, held_until) = (Utc::now(), now + HELD);
        match gateways.hold(HELD).await {
            Err(busy) if Instant::now() >= deadline => return Err(refused(&busy)),
            Err(_) => {
                // What is not a change is not named, but waited for in the same way.
                insisted = true;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Ok(()) => {}
        }
        while !hull.operations.busy().is_empty() && Instant::now() < held_until {
            tokio::time::sleep(PAUSE).await;
        }
        if hull.operations.busy().is_empty() {
            return Ok(held_at);
        }
        gateways.release().await;
    }
}

fn busy(hull: &Hull, gateways: &Gateways) -> Vec<String> {
    // The request that started this upgrade is answered long since.
    let mut busy = hull.operations.busy();
    busy.extend(gateways.busy());
    busy
}

fn refused(busy: &[String]) -> ApiError {
    let message = format!(
        "This is still going on, and would be cut: {}; hulld serves on as it was. Try again when it is done, or with more patience",
        busy.join("; ")
    );
    ApiError::new(StatusCode::CONFLICT, message)
}
