//! The daemon itself.

use super::text::{Family, Kind, Metrics};
use crate::hull::Hull;

const OPERATIONS: Family =
    Family { name: "lxd_operations_total", help: "Operations that are under way.", kind: Kind::Counter };
const WARNINGS: Family =
    Family { name: "lxd_warnings_total", help: "Warnings that are not resolved.", kind: Kind::Counter };
const UPTIME: Family =
    Family { name: "lxd_uptime_seconds", help: "Seconds since the daemon was started.", kind: Kind::Gauge };

pub(super) fn add(metrics: &mut Metrics, hull: &Hull) {
    metrics.add(&OPERATIONS, &[], hull.operations.running() as f64); // small numbers: exact
    metrics.add(&WARNINGS, &[], hull.warnings.open() as f64);
    metrics.add(&UPTIME, &[], hull.server.uptime().as_secs_f64().floor());
}
