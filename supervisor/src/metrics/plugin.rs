//! The plugins' processes.

use std::collections::BTreeMap;

use hull_api::PluginStatistics;

use super::text::{Family, Kind, Metrics};
use crate::hull::Hull;
use crate::plugins::PluginState;

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: Kind::Counter }
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: Kind::Gauge }
}

const UP: Family = gauge("hull_plugin_up", "Whether the process takes calls.");
const INFO: Family =
    gauge("hull_plugin_info", "1, with the version that runs and the contract's that is spoken with it.");
const STARTED: Family = gauge("hull_plugin_start_time_seconds", "When the process was ready, since 1970.");
const OUT_OF_SERVICE: Family =
    gauge("hull_plugin_out_of_service", "Whether the process ended too often and is not started again for a while.");
const CALLS: Family = counter("hull_plugin_calls_total", "Calls of a method.");
const ERRORS: Family = counter("hull_plugin_errors_total", "Calls of a method that failed, by the error's code.");
const IN_FLIGHT: Family = gauge("hull_plugin_in_flight", "Calls of a method that run or wait.");
const QUEUED: Family = gauge("hull_plugin_queued", "Calls that wait for their turn.");
const QUANTILE: Family =
    gauge("hull_plugin_call_seconds", "The time within which half, and 99 of 100, calls of a method were through.");
const MEMORY: Family = gauge("hull_plugin_memory_bytes", "Memory of the process, shared pages by its share.");
const RESTARTS: Family = counter("hull_plugin_restarts_total", "How often the process was started again.");
const CRASHES: Family = counter("hull_plugin_crashes_total", "How often the process ended unasked.");

pub(super) fn add(metrics: &mut Metrics, hull: &Hull, statistics: &BTreeMap<String, PluginStatistics>) {
    for one in hull.plugins.observed() {
        let labels = [("plugin", one.name.as_str())];
        metrics.add(&UP, &labels, f64::from(u8::from(matches!(one.state, PluginState::Ready { .. }))));
        metrics.add(&OUT_OF_SERVICE, &labels, f64::from(u8::from(matches!(one.state, PluginState::Failed { .. }))));
        if let (PluginState::Ready { pid }, Some(since)) = (&one.state, one.since) {
            let (contract, pid) = (one.contract.to_string(), pid.to_string());
            let facts = [labels[0], ("version", &*one.version), ("contract", &*contract), ("pid", &*pid)];
            metrics.add(&INFO, &facts, 1.0);
            metrics.add(&STARTED, &labels, since.timestamp_millis() as f64 / 1e3);
        }
    }
    for (name, figures) in statistics {
        let labels = [("plugin", name.as_str())];
        for (family, value) in [
            (&QUEUED, figures.queued),
            (&MEMORY, figures.memory_bytes),
            (&RESTARTS, figures.restarts),
            (&CRASHES, figures.crashes),
        ] {
            metrics.add(family, &labels, value as f64); // beyond 2^53 nobody counts
        }
    }
    for method in hull.plugins.methods() {
        let labels = [("plugin", method.process.as_str()), ("method", method.method)];
        metrics.add(&CALLS, &labels, method.calls as f64);
        metrics.add(&IN_FLIGHT, &labels, method.in_flight as f64);
        for (code, count) in &method.errors {
            metrics.add(&ERRORS, &[labels[0], labels[1], ("code", code)], *count as f64);
        }
        for (quantile, microseconds) in [("0.5", method.p50_microseconds), ("0.99", method.p99_microseconds)] {
            metrics.add(&QUANTILE, &[labels[0], labels[1], ("quantile", quantile)], microseconds as f64 / 1e6);
        }
    }
}
