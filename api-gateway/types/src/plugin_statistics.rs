//! What a plugin process has done so far.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The figures of one process, over all its restarts since hulld's own start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginStatistics {
    /// Over the last minute.
    pub calls_per_second: f64,
    pub calls: u64,
    /// By code: `not-found`, `deadline-exceeded`, …
    pub errors: BTreeMap<String, u64>,
    pub in_flight: u64,
    /// Calls that wait for their turn; part of those in flight.
    pub queued: u64,
    /// Of whole calls: waiting, and repetitions after a crash, included.
    pub p50_microseconds: u64,
    pub p99_microseconds: u64,
    /// What the process costs; shared pages by its share.
    pub memory_bytes: u64,
    pub restarts: u64,
    /// Ends that nobody asked for.
    pub crashes: u64,
}
