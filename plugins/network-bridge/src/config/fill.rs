//! What the driver adds to a network's configuration: addresses for `auto`, and what follows from them.

use hull_plugin::{Code, ConfigMap, DriverError};
use rand::Rng;

use super::subnet::Taken;

/// Whether the network is made now; only then a missing address means `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Creation,
    Change,
}

/// `config` with every `auto` made into an address. `previous` is what the network had: an `auto` keeps its address.
pub(crate) fn fill(
    config: &ConfigMap,
    previous: Option<&ConfigMap>,
    ipv6_works: bool,
    taken: &Taken,
    random: &mut impl Rng,
) -> Result<ConfigMap, DriverError> {
    let phase = if previous.is_some() { Phase::Change } else { Phase::Creation };
    let mut filled = config.clone();
    for family in ["ipv4", "ipv6"] {
        let key = format!("{family}.address");
        let wish = config.get(&key).map_or("", String::as_str);
        let auto = match (wish, phase) {
            ("auto", _) => true,
            ("", Phase::Creation) if family == "ipv6" && !ipv6_works => {
                filled.insert(key.clone(), "none".into());
                false
            }
            ("", Phase::Creation) => true,
            _ => false,
        };
        if !auto {
            continue;
        }
        let kept = previous.and_then(|previous| previous.get(&key)).filter(|kept| kept.contains('/')).cloned();
        let chosen = kept.or_else(|| match family {
            "ipv4" => taken.free_ipv4(random).map(|net| net.to_string()),
            _ => taken.free_ipv6(random).map(|net| net.to_string()),
        });
        let message = format!("Failed to automatically find an unused subnet for {key}");
        let none = || DriverError { key: Some(key.clone()), ..DriverError::new(Code::InvalidConfig, message) };
        filled.insert(
            key.clone(),
            chosen.ok_or_else(|| none().hint(format!("set {key} to an address of your choice, or to none")))?,
        );
        filled.entry(format!("{family}.nat")).or_insert_with(|| "true".into());
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    fn filled(config: &[(&str, &str)], previous: Option<&ConfigMap>, ipv6: bool) -> ConfigMap {
        fill(&map(config), previous, ipv6, &Taken::default(), &mut rand::rng()).unwrap()
    }

    #[test]
    fn a_new_network_without_words_gets_both_addresses_and_nat() {
        let config = filled(&[], None, true);
        assert!(config["ipv4.address"].starts_with("10.") && config["ipv6.address"].starts_with("fd42:"));
        assert_eq!((config["ipv4.nat"].as_str(), config["ipv6.nat"].as_str()), ("true", "true"));
        assert_eq!(filled(&[], None, false)["ipv6.address"], "none");
    }

    #[test]
    fn what_the_user_said_stays() {
        let config = filled(&[("ipv4.address", "10.9.8.1/24"), ("ipv6.address", "none")], None, true);
        assert_eq!(config, map(&[("ipv4.address", "10.9.8.1/24"), ("ipv6.address", "none")]));
        let config = filled(&[("ipv4.address", "auto"), ("ipv4.nat", "false"), ("ipv6.address", "none")], None, true);
        assert_eq!(config["ipv4.nat"], "false");
    }

    #[test]
    fn a_change_adds_nothing_and_auto_keeps_its_address() {
        let before = map(&[("ipv4.address", "10.9.8.1/24")]);
        assert_eq!(filled(&[], Some(&before), true), ConfigMap::new());
        assert_eq!(filled(&[("ipv4.address", "auto")], Some(&before), true)["ipv4.address"], "10.9.8.1/24");
    }

    #[test]
    fn no_free_subnet_is_the_keys_fault() {
        let mut taken = Taken::default();
        for net in ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"] {
            taken.add(net.parse().unwrap(), "interface eth0");
        }
        let error = fill(&ConfigMap::new(), None, true, &taken, &mut rand::rng()).unwrap_err();
        assert_eq!((error.code, error.key.as_deref()), (Code::InvalidConfig, Some("ipv4.address")));
    }
}
