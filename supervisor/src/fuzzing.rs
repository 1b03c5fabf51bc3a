//! What clients, drivers and administrators write, parsed without a daemon: for the fuzz targets.

pub use crate::instances::fuzzing::{check_settings, control, largest_range};

use crate::filter::Filter;

/// The value of `key` in the query of a request's target, as handlers read it.
pub fn query_value(target: &str, key: &str) -> Option<String> {
    type Query = axum::extract::Query<std::collections::HashMap<String, String>>;
    let target: http::Uri = target.parse().ok()?;
    Query::try_from_uri(&target).ok()?.0.remove(key)
}

/// Whether an object passes a filter; `None`: it is no filter.
pub fn filter(text: &str, object: &serde_json::Value) -> Option<bool> {
    Some(Filter::parse(Some(text)).ok()??.matches(object))
}

/// What is understood of a packet between keeper and supervisor, written down again.
pub fn keeper_packet(bytes: &[u8]) -> Option<Vec<u8>> {
    crate::keeper::reread(bytes)
}

/// The manifest in a `plugin.toml`, if a plugin may have it.
pub fn manifest(text: &str) -> Option<hull_plugin::Manifest> {
    crate::plugins::manifest(text).ok()
}
