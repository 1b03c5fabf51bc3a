//! Values that users write, checked and used as the verbs do: for the fuzz targets.

use hull_api::InstanceExecControl;
use hull_plugin::{ConfigKey, ConfigMap, ValueKind};

use super::{exec_control, limits, validate};

/// Checks each value as every kind of value, and makes limits of all that passed.
pub fn check_settings(config: &ConfigMap) {
    let words = || vec!["auto".into(), "none".into()];
    let kinds = [
        ValueKind::Text,
        ValueKind::Boolean,
        ValueKind::Integer,
        ValueKind::Size,
        ValueKind::Choice(words()),
        ValueKind::Cidr(words()),
        ValueKind::Path,
        ValueKind::matching("(?:[a-z]+\n?)*", "words"),
    ];
    for (key, value) in config {
        for kind in &kinds {
            let passed = validate::check_value(&ConfigKey::new(key, kind.clone(), "", ""), value).is_ok();
            match kind {
                ValueKind::Text if !key.starts_with("user.") && !key.starts_with("raw.") => {
                    assert!(!passed || !value.contains(['\n', '\0']), "{key}={value:?} has a line break");
                }
                ValueKind::Size => assert_eq!(passed, validate::parse_size(value).is_some(), "{value:?}"),
                ValueKind::Boolean => assert_eq!(passed, validate::parse_boolean(value).is_some(), "{value:?}"),
                _ => {}
            }
        }
    }
    let limits = limits::limits(config);
    let list = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b',' | b'-'));
    assert!(limits.cpu_set.as_deref().is_none_or(list), "{:?} goes into a control group file", limits.cpu_set);
    assert!(limits.cpu_quota.is_none_or(|(time, period)| time > 0 && period > 0), "{:?}", limits.cpu_quota);
}

/// The size of the terminal that a control message asks for.
pub fn control(packet: &[u8]) -> Option<(u16, u16)> {
    let message: InstanceExecControl = serde_json::from_slice(packet).ok()?;
    exec_control::size_of(&message).map(|size| (size.columns, size.rows))
}

/// First id and count of what a file such as `/etc/subuid` gives to root.
pub fn largest_range(text: &str) -> Option<(u32, u32)> {
    Some(crate::plugins::instance_range_in(text))
}
