//! Which keys a pool and a volume may have: the driver's own, and `user.*`.

use std::path::Path;

use hull_plugin::{ConfigKey, ConfigMap, Description, ValueKind};

use crate::api::ApiError;
use crate::instances::validate::check_value;
use crate::look;

/// The key that says where a pool is. What it means is the driver's; that a directory of this name must exist is not.
pub(super) const SOURCE: &str = "source";

pub(super) fn pool(description: &Description, config: &ConfigMap) -> Result<(), ApiError> {
    check(
        &description.config,
        config,
        |key| format!("Invalid option {key:?}"),
        |key, why| format!("Invalid value for option {key:?}: {why}"),
    )
}

pub(super) fn volume(description: &Description, volume: &str, config: &ConfigMap) -> Result<(), ApiError> {
    check(
        &description.item_config,
        config,
        |key| format!("Invalid option for volume {volume:?} option {key:?}"),
        |key, why| format!("Invalid value for volume {volume:?} option {key:?}: {why}"),
    )
}

/// A directory given by the administrator.
pub(super) async fn source_directory(source: &str) -> Result<(), ApiError> {
    let path = Path::new(source);
    if !path.is_absolute() || !look::at(path, Path::is_dir).await.unwrap_or(false) {
        return Err(ApiError::bad_request(format!("Source path '{source}' doesn't exist")));
    }
    Ok(())
}

fn check(
    keys: &[ConfigKey],
    config: &ConfigMap,
    unknown: impl Fn(&str) -> String,
    invalid: impl Fn(&str, String) -> String,
) -> Result<(), ApiError> {
    let user = ConfigKey::new("user.*", ValueKind::Text, "", "Free for any use.");
    config.iter().filter(|(_, value)| !value.is_empty()).try_for_each(|(key, value)| {
        let found = keys.iter().chain([&user]).find(|one| one.covers(key));
        let found = found.ok_or_else(|| ApiError::bad_request(unknown(key)))?;
        check_value(found, value).map_err(|why| ApiError::bad_request(invalid(key, why)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_drivers_keys_and_the_users_are_taken() {
        let description = Description {
            config: vec![ConfigKey::new("rsync.compression", ValueKind::Boolean, "true", "")],
            ..Description::default()
        };
        let config = |key: &str, value: &str| ConfigMap::from([(key.into(), value.into())]);
        assert!(pool(&description, &config("rsync.compression", "no")).is_ok());
        assert!(pool(&description, &config("user.note", "x")).is_ok());
        assert_eq!(pool(&description, &config("bad", "1")).unwrap_err().message, "Invalid option \"bad\"");
        let wrong = pool(&description, &config("rsync.compression", "x")).unwrap_err();
        assert!(wrong.message.starts_with("Invalid value for option \"rsync.compression\""), "{wrong}");
    }
}
