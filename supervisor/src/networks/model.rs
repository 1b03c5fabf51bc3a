//! A network and the rules for its name.

use hull_api::NetworkPut;
use hull_plugin::network::{InterfaceState, Lease, NetworkSpec};
use hull_plugin::{ConfigMap, Handle, NetworkName};
use serde::{Deserialize, Serialize};

use crate::api::ApiError;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Network {
    pub(crate) name: NetworkName,
    /// The driver's word: the network's type.
    pub(crate) driver: String,
    pub(crate) description: String,
    pub(crate) config: ConfigMap,
    /// How its driver finds it again.
    pub(crate) handle: Option<Handle>,
}

/// How a managed network is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Not brought up yet in this run of the daemon.
    Pending,
    Created,
    /// It could not be brought up.
    Unavailable { why: String },
}

impl Status {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Created => "Created",
            Self::Unavailable { .. } => "Unavailable",
        }
    }
}

impl Network {
    pub(crate) fn url(&self) -> String {
        url(self.name.as_str())
    }

    pub(super) fn spec(&self) -> NetworkSpec {
        NetworkSpec { name: self.name.clone(), config: self.config.clone() }
    }

    /// What a PUT may change.
    pub(super) fn writable(&self) -> NetworkPut {
        NetworkPut { config: self.config.clone(), description: self.description.clone() }
    }

    pub(super) fn rendered(&self, status: &Status, used_by: Vec<String>) -> hull_api::Network {
        hull_api::Network {
            config: self.config.clone(),
            description: self.description.clone(),
            name: self.name.to_string(),
            kind: self.driver.clone(),
            used_by,
            managed: true,
            status: status.word().to_owned(),
            locations: vec!["none".to_owned()],
        }
    }
}

pub(super) fn url(name: &str) -> String {
    format!("/1.0/networks/{name}")
}

/// An interface of the host that Hull does not manage.
pub(super) fn unmanaged(name: &str, kind: &str, used_by: Vec<String>) -> hull_api::Network {
    hull_api::Network { name: name.to_owned(), kind: kind.to_owned(), used_by, ..hull_api::Network::default() }
}

/// A network's name as a client writes it: it may become an interface.
pub(super) fn network_name(text: &str) -> Result<NetworkName, ApiError> {
    let refuse = |why: &str| Err(ApiError::bad_request(format!("Network interface {why}")));
    match text {
        "" => return Err(ApiError::bad_request("No name provided")),
        _ if text.len() < 2 => return refuse("is too short (minimum 2 characters)"),
        _ if text.len() > 15 => return refuse("is too long (maximum 15 characters)"),
        _ if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte)) => {
            return refuse("contains invalid characters");
        }
        _ => {}
    }
    Ok(NetworkName::new(text)?)
}

pub(super) fn rendered_state(state: InterfaceState) -> hull_api::NetworkState {
    let address = |one: hull_plugin::network::Address| hull_api::NetworkStateAddress {
        family: one.family,
        address: one.address,
        netmask: one.netmask,
        scope: one.scope,
    };
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    hull_api::NetworkState {
        addresses: state.addresses.into_iter().map(address).collect(),
        counters: hull_api::NetworkStateCounters {
            bytes_received: count(state.counters.bytes_received),
            bytes_sent: count(state.counters.bytes_sent),
            packets_received: count(state.counters.packets_received),
            packets_sent: count(state.counters.packets_sent),
        },
        hwaddr: state.hwaddr,
        mtu: state.mtu.into(),
        state: if state.up { "up" } else { "down" }.to_owned(),
        kind: state.kind,
        ..hull_api::NetworkState::default()
    }
}

pub(super) fn rendered_lease(lease: Lease) -> hull_api::NetworkLease {
    hull_api::NetworkLease {
        hostname: lease.hostname,
        hwaddr: lease.hwaddr,
        address: lease.address,
        kind: lease.kind,
        location: "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_interface_names() {
        for good in ["hullbr0", "br-lan", "a.1"] {
            assert!(network_name(good).is_ok(), "{good}");
        }
        for (bad, why) in [("", "No name"), ("waytoolongname12345", "too long"), ("a b", "invalid characters"), ("a/b", "invalid"), ("..", "reserved")] {
            let error = network_name(bad).unwrap_err();
            assert!(error.message.contains(why), "{bad:?}: {error}");
        }
    }
}
