//! `metadata.yaml`.

use hull_image_format::Metadata;
use serde_json::Value;

/// The text of an image's metadata.
pub fn metadata(data: &[u8]) {
    let Ok(metadata) = Metadata::parse(data) else { return };
    assert!(!metadata.architecture.is_empty());
    assert!(depth(&metadata.document) <= 33 && count(&metadata.document) <= 50_000, "bounds hold");
}

fn depth(value: &Value) -> usize {
    let below = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        _ => return 0,
    };
    1 + below.unwrap_or(0)
}

fn count(value: &Value) -> usize {
    let below: usize = match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    };
    1 + below
}
