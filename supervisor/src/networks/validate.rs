//! Which keys a network may have: the driver's own, and `user.*`.

use hull_plugin::{ConfigKey, ConfigMap, Description, ValueKind};

use crate::api::ApiError;
use crate::instances::validate::check_value;

pub(super) fn network(description: &Description, name: &str, config: &ConfigMap) -> Result<(), ApiError> {
    let user = ConfigKey::new("user.*", ValueKind::Text, "", "Free for any use.");
    config.iter().filter(|(_, value)| !value.is_empty()).try_for_each(|(key, value)| {
        let found = description.config.iter().chain([&user]).find(|one| one.covers(key));
        let found = found.ok_or_else(|| ApiError::bad_request(format!("Invalid option for network {name:?} option {key:?}")))?;
        check_value(found, value)
            .map_err(|why| ApiError::bad_request(format!("Invalid value for network {name:?} option {key:?}: {why}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_drivers_keys_and_the_users_are_taken() {
        let key = ConfigKey::new("ipv4.nat", ValueKind::Boolean, "false", "");
        let description = Description { config: vec![key], ..Description::default() };
        let check = |key: &str, value: &str| network(&description, "br0", &ConfigMap::from([(key.into(), value.into())]));
        assert!(check("ipv4.nat", "true").is_ok() && check("user.a", "x").is_ok());
        assert_eq!(check("bad", "1").unwrap_err().message, "Invalid option for network \"br0\" option \"bad\"");
        assert!(check("ipv4.nat", "foo").unwrap_err().message.starts_with("Invalid value for network \"br0\" option \"ipv4.nat\""));
    }
}
