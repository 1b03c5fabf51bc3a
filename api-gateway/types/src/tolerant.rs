//! Reading what other programs write: Go sends `null` for an empty list or map.

use serde::{Deserialize, Deserializer};

/// `null` is the empty value.
pub(crate) fn null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// For `skip_serializing_if`: what Go calls `omitempty`.
pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}
