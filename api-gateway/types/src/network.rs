//! Networks, what they carry and what they lease.

use crate::Config;
use crate::tolerant::null;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    #[serde(deserialize_with = "null")]
    pub config: Config,
    pub description: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(deserialize_with = "null")]
    pub used_by: Vec<String>,
    pub managed: bool,
    pub status: String,
    #[serde(deserialize_with = "null")]
    pub locations: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkPut {
    #[serde(deserialize_with = "null")]
    pub config: Config,
    pub description: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworksPost {
    #[serde(deserialize_with = "null")]
    pub config: Config,
    pub description: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
}

/// A new name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkPost {
    pub name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkLease {
    pub hostname: String,
    pub hwaddr: String,
    pub address: String,
    /// `static`, `dynamic` or `gateway`.
    #[serde(rename = "type")]
    pub kind: String,
    pub location: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkState {
    #[serde(deserialize_with = "null")]
    pub addresses: Vec<NetworkStateAddress>,
    pub counters: NetworkStateCounters,
    pub hwaddr: String,
    pub mtu: i64,
    pub state: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub bond: Option<NetworkStateBond>,
    pub bridge: Option<NetworkStateBridge>,
    pub vlan: Option<NetworkStateVlan>,
    pub ovn: Option<NetworkStateOvn>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkStateAddress {
    pub family: String,
    pub address: String,
    pub netmask: String,
    pub scope: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkStateCounters {
    pub bytes_received: i64,
    pub bytes_sent: i64,
    pub packets_received: i64,
    pub packets_sent: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkStateBond {
    pub mode: String,
    pub transmit_policy: String,
    pub up_delay: u64,
    pub down_delay: u64,
    pub mii_frequency: u64,
    pub mii_state: String,
    #[serde(deserialize_with = "null")]
    pub lower_devices: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkStateBridge {
    pub id: String,
    pub stp: bool,
    pub forward_delay: u64,
    pub vlan_default: u64,
    pub vlan_filtering: bool,
    #[serde(deserialize_with = "null")]
    pub upper_devices: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkStateVlan {
    pub lower_device: String,
    pub vid: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkStateOvn {
    pub chassis: String,
}

impl Network {
    pub fn writable(self) -> NetworkPut {
        NetworkPut { config: self.config, description: self.description }
    }
}
