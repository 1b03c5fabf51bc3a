//! Which instances are listed.

use hull_api::InstanceFull;
use ipnet::IpNet;
use regex::Regex;
use std::net::IpAddr;

/// Whether only the instance's state tells.
pub(super) fn needs_state(filter: &str) -> bool {
    filter.starts_with("ipv4=") || filter.starts_with("ipv6=")
}

/// Whether `instance` satisfies every filter.
pub(super) fn matches_all(instance: &InstanceFull, filters: &[String]) -> bool {
    filters.iter().all(|filter| matches(instance, filter))
}

fn matches(instance: &InstanceFull, filter: &str) -> bool {
    match filter.split_once('=') {
        Some((key, value)) => matches_key(instance, key, value),
        None => matches_name(&instance.name, filter),
    }
}

/// A name that begins so, or that the expression describes.
fn matches_name(name: &str, filter: &str) -> bool {
    name.starts_with(filter) || Regex::new(&format!("^(?:{filter})")).is_ok_and(|expression| expression.is_match(name))
}

fn matches_key(instance: &InstanceFull, key: &str, value: &str) -> bool {
    let any_of = |actual: &str| value.split(',').any(|wanted| actual.eq_ignore_ascii_case(wanted));
    match key {
        "name" => matches_value(&instance.name, value),
        "description" => matches_value(&instance.description, value),
        "type" => any_of(&instance.kind),
        "status" => any_of(&instance.status),
        "architecture" => any_of(&instance.architecture),
        "location" => any_of(&instance.location),
        "project" => any_of(&instance.project),
        "ipv4" | "ipv6" => has_address(instance, if key == "ipv4" { "inet" } else { "inet6" }, value),
        _ => {
            instance.expanded_config.iter().any(|(name, actual)| begins_like(name, key) && matches_value(actual, value))
        }
    }
}

/// `s.privileged` means `security.privileged`: each part may be a beginning.
fn begins_like(name: &str, key: &str) -> bool {
    let (mut parts, mut wanted) = (name.split('.'), key.split('.'));
    loop {
        match (parts.next(), wanted.next()) {
            (None, None) => return true,
            (Some(part), Some(beginning)) if part.starts_with(beginning) => {}
            _ => return false,
        }
    }
}

fn matches_value(actual: &str, wanted: &str) -> bool {
    actual == wanted || Regex::new(&format!("^(?:{wanted})$")).is_ok_and(|expression| expression.is_match(actual))
}

fn has_address(instance: &InstanceFull, family: &str, wanted: &str) -> bool {
    let networks = instance.state.iter().flat_map(|state| state.network.values());
    let mut addresses = networks.flat_map(|network| &network.addresses);
    let within = |address: IpAddr| match wanted.parse::<IpNet>() {
        Ok(network) => network.contains(&address),
        Err(_) => wanted.parse() == Ok(address),
    };
    addresses.any(|address| address.family == family && address.address.parse().is_ok_and(within))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> InstanceFull {
        InstanceFull {
            name: "web10".into(),
            kind: "container".into(),
            status: "Running".into(),
            expanded_config: [
                ("security.privileged".to_owned(), "true".to_owned()),
                ("user.blah".to_owned(), "abc".to_owned()),
            ]
            .into(),
            ..InstanceFull::default()
        }
    }

    #[test]
    fn addresses_alone_and_in_networks() {
        let state = serde_json::json!({"network": {"eth0": {"addresses": [
            {"family": "inet", "address": "10.1.2.3"}, {"family": "inet6", "address": "fd42::1"}]}}});
        let running = InstanceFull { state: serde_json::from_value(state).unwrap(), ..web() };
        for yes in ["ipv4=10.1.2.3", "ipv4=10.1.0.0/16", "ipv6=fd42::1", "ipv6=fd42:0::/32"] {
            assert!(needs_state(yes) && matches(&running, yes), "{yes}");
        }
        for no in ["ipv4=10.1.2.30", "ipv4=10.2.0.0/16", "ipv6=fd43::/32", "ipv4=fd42::1", "ipv4="] {
            assert!(!matches(&running, no), "{no}");
        }
    }

    #[test]
    fn names_keys_and_shorthands() {
        for yes in [
            "web",
            "^web1.$",
            "w.*0",
            "type=container",
            "status=running",
            "s.privileged=true",
            "user.blah=a.c",
            "u.b=abc",
            "name=web10",
        ] {
            assert!(matches(&web(), yes), "{yes}");
        }
        for no in ["eb", "^web$", "type=virtual-machine", "status=stopped", "security.privileged=false", "user=abc"] {
            assert!(!matches(&web(), no), "{no}");
        }
    }
}
