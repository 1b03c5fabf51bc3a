//! The keys of the server's configuration.

use std::collections::BTreeMap;

use hull_plugin::ConfigMap;
use serde_json::Value;

use crate::api::ApiError;
use crate::instances::validate::parse_boolean;

/// What a value must look like.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Boolean,
    Integer,
    Compression,
    Architecture,
}

const KEYS: &[(&str, Kind)] = &[
    ("backups.compression_algorithm", Kind::Compression),
    ("core.proxy_http", Kind::Text),
    ("core.proxy_https", Kind::Text),
    ("core.proxy_ignore_hosts", Kind::Text),
    ("core.shutdown_timeout", Kind::Integer),
    ("images.auto_update_cached", Kind::Boolean),
    ("images.auto_update_interval", Kind::Integer),
    ("images.compression_algorithm", Kind::Compression),
    ("images.default_architecture", Kind::Architecture),
    ("images.remote_cache_expiry", Kind::Integer),
];

/// LXD's keys for what Hull does not have: refused with the reason, since scripts set them and expect an effect.
const NOT_YET: &[(&str, &str)] = &[
    ("candid.", "external authentication is not supported yet"),
    ("cluster.", "clusters are not supported yet"),
    ("core.bgp_", "BGP is not supported yet"),
    ("core.debug_address", "the daemon listens on its local socket only"),
    ("core.dns_address", "the daemon listens on its local socket only"),
    ("core.https_", "the daemon listens on its local socket only"),
    ("core.metrics_", "metrics are at /1.0/metrics of the local socket only"),
    ("core.remote_token_expiry", "the daemon listens on its local socket only"),
    ("core.trust_", "the daemon listens on its local socket only"),
    ("maas.", "MAAS is not supported"),
    ("network.ovn.", "OVN is not supported yet"),
    ("rbac.", "external authentication is not supported yet"),
    ("storage.", "the daemon's own storage is its directory"),
];

/// Makes what a client sent into the configuration to be, and checks it.
///
/// # Errors
/// An unknown key, or a value that its key cannot have.
pub(super) fn checked(given: BTreeMap<String, Value>) -> Result<ConfigMap, ApiError> {
    let mut config = ConfigMap::new();
    for (key, value) in given {
        let value = match value {
            Value::Null => String::new(),
            Value::String(text) => text,
            Value::Bool(_) => return Err(ApiError::bad_request(format!("cannot set '{key}': invalid type bool"))),
            Value::Number(_) => return Err(ApiError::bad_request(format!("cannot set '{key}': invalid type float64"))),
            other => other.to_string(),
        };
        check(&key, &value).map_err(|why| ApiError::bad_request(format!("cannot set '{key}' to '{value}': {why}")))?;
        config.insert(key, value);
    }
    Ok(config)
}

/// What a PUT comes to: it drops the daemon's own keys that it does not name, but keeps the users'.
pub(super) fn replaced(old: &ConfigMap, new: ConfigMap) -> ConfigMap {
    let users = old.iter().filter(|(key, _)| key.starts_with("user."));
    merged(&users.map(|(key, value)| (key.clone(), value.clone())).collect(), new)
}

/// What a PATCH comes to. An empty value unsets its key.
pub(super) fn merged(old: &ConfigMap, new: ConfigMap) -> ConfigMap {
    let mut config = old.clone();
    config.extend(new);
    config.retain(|_, value| !value.is_empty());
    config
}

fn check(key: &str, value: &str) -> Result<(), String> {
    if key.len() > "user.".len() && key.starts_with("user.") {
        return Ok(());
    }
    let Some((_, kind)) = KEYS.iter().find(|(known, _)| *known == key) else {
        let reason = NOT_YET.iter().find(|(prefix, _)| key.starts_with(prefix) && !value.is_empty());
        return match (reason, NOT_YET.iter().any(|(prefix, _)| key.starts_with(prefix))) {
            (Some((_, reason)), _) => Err((*reason).to_owned()),
            (None, true) => Ok(()), // unsetting what cannot be set
            (None, false) => Err("unknown key".to_owned()),
        };
    };
    if value.is_empty() {
        return Ok(());
    }
    match kind {
        Kind::Text => Ok(()),
        Kind::Boolean => parse_boolean(value).map(drop).ok_or_else(|| "invalid boolean".to_owned()),
        Kind::Integer => value.parse::<i64>().map(drop).map_err(|_| "invalid integer".to_owned()),
        Kind::Compression => compression(value),
        Kind::Architecture => {
            match ["x86_64", "i686", "aarch64", "armv7l", "ppc64le", "s390x", "riscv64"].contains(&value) {
                true => Ok(()),
                false => Err(format!("Architecture {value:?} isn't supported")),
            }
        }
    }
}

/// A choice, never a command with arguments.
fn compression(value: &str) -> Result<(), String> {
    match ["none", "gzip", "bzip2", "xz", "zstd", "lzma", "pigz", "squashfs", "tar2sqfs"].contains(&value) {
        true => Ok(()),
        false => Err(format!("Invalid compression algorithm {value:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    fn refused(key: &str, value: &str) -> String {
        checked(BTreeMap::from([(key.to_owned(), Value::from(value))])).unwrap_err().message
    }

    #[test]
    fn refusals_have_lxds_words() {
        assert_eq!(refused("core.bad", "1"), "cannot set 'core.bad' to '1': unknown key");
        assert_eq!(
            refused("images.auto_update_cached", "maybe"),
            "cannot set 'images.auto_update_cached' to 'maybe': invalid boolean"
        );
        assert_eq!(
            refused("images.auto_update_interval", "x"),
            "cannot set 'images.auto_update_interval' to 'x': invalid integer"
        );
        assert!(refused("core.https_address", ":8443").contains("local socket only"));
        assert!(checked(BTreeMap::from([("core.https_address".to_owned(), Value::from(""))])).is_ok());
        let number = checked(BTreeMap::from([("images.auto_update_interval".to_owned(), Value::from(12))]));
        assert_eq!(number.unwrap_err().message, "cannot set 'images.auto_update_interval': invalid type float64");
    }

    #[test]
    fn a_put_keeps_the_users_keys_and_a_patch_all() {
        let old = config(&[("user.a", "1"), ("core.proxy_http", "x")]);
        assert_eq!(replaced(&old, ConfigMap::new()), config(&[("user.a", "1")]));
        assert_eq!(merged(&old, config(&[("core.proxy_http", "")])), config(&[("user.a", "1")]));
    }
}
