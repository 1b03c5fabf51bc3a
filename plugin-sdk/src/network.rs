//! The network contract: networks, and the NICs of instances in them. One process serves all networks of a driver.

use serde::{Deserialize, Serialize};

use crate::storage::Reconciled;
use crate::{ConfigMap, DeviceName, DriverError, Handle, InstanceId, NetworkName, NetworkNamespaceFd, OperationId};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NetworkSpec {
    pub name: NetworkName,
    pub config: ConfigMap,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NetworkReady {
    pub handle: Handle,
    /// The configuration with everything filled in that the driver chose (`auto` made into an address). Hull stores it.
    pub config: ConfigMap,
}

/// A NIC of an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NicSpec {
    pub instance: InstanceId,
    /// The name its DHCP lease and DNS entry shall have.
    pub host_name: String,
    pub device: DeviceName,
    /// The managed network, or `None` for a NIC on an interface that Hull does not manage (`config["parent"]`).
    pub network: Option<NetworkName>,
    /// The interface's name inside: `eth0`.
    pub name: String,
    pub hwaddr: String,
    pub mtu: Option<u32>,
    /// The device's other keys: `ipv4.address`, `limits.ingress`, `security.mac_filtering`, …
    pub config: ConfigMap,
}

/// Where the instance's end of a NIC goes.
#[derive(Debug, Serialize, Deserialize)]
pub enum NicTarget {
    /// Into this network namespace, under its final name, down.
    Namespace(NetworkNamespaceFd),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attachment {
    pub handle: Handle,
    /// The host's end, as `veth1a2b3c4d`; empty if there is none.
    pub host_name: String,
}

/// A network or interface as it is now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InterfaceState {
    pub name: String,
    pub hwaddr: String,
    pub mtu: u32,
    pub up: bool,
    /// `broadcast` or `loopback`.
    pub kind: String,
    pub addresses: Vec<Address>,
    pub counters: Counters,
    /// The other end's name, for a veth.
    pub host_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// `inet` or `inet6`.
    pub family: String,
    pub address: String,
    pub netmask: String,
    /// `global`, `link` or `local`.
    pub scope: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub packets_received: u64,
    pub packets_sent: u64,
    pub errors_received: u64,
    pub errors_sent: u64,
    pub packets_dropped_inbound: u64,
    pub packets_dropped_outbound: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub hostname: String,
    pub hwaddr: String,
    pub address: String,
    /// `dynamic` or `static` or `gateway`.
    pub kind: String,
}

/// Every method *ensures*: repeated after a crash, it succeeds again.
///
/// `Description::capabilities` names the NIC types served as `nic:bridged`, and `managed` if it makes networks.
#[tarpc::service]
pub trait NetworkDriver {
    /// Makes the network, or brings an existing one to `spec` (after a reboot, after a change of its configuration).
    ///
    /// # Errors
    /// `InvalidConfig`: no free subnet for `auto`, an address in use. Nothing is left behind.
    async fn ensure_network(op: OperationId, spec: NetworkSpec) -> Result<NetworkReady, DriverError>;
    /// Checks a configuration without touching anything.
    async fn validate_network(spec: NetworkSpec) -> Result<(), DriverError>;
    async fn delete_network(op: OperationId, name: NetworkName, handle: Option<Handle>) -> Result<(), DriverError>;
    async fn network_state(name: NetworkName) -> Result<InterfaceState, DriverError>;
    /// DHCP and static leases, the gateways included.
    async fn leases(name: NetworkName) -> Result<Vec<Lease>, DriverError>;
    /// The host's interfaces that are not Hull's, for `network list`: name and type (`physical`, `bridge`, …).
    async fn host_interfaces() -> Result<Vec<(String, String)>, DriverError>;

    /// Connects an instance. The interface is made straight inside the target; the host's end is up.
    ///
    /// # Errors
    /// `NotFound`: no such network or parent. `Unavailable`: the network is not up.
    async fn attach_nic(op: OperationId, nic: NicSpec, target: NicTarget) -> Result<Attachment, DriverError>;
    /// Forgets a NIC and removes what the host still has of it. An interface whose namespace is dying is left to die.
    async fn detach_nic(
        op: OperationId,
        instance: InstanceId,
        device: DeviceName,
        handle: Option<Handle>,
    ) -> Result<(), DriverError>;

    /// Given all NIC objects (`INSTANCE/DEVICE`) and networks Hull knows; see the storage contract.
    async fn reconcile(known: Vec<String>, last: bool) -> Result<Reconciled, DriverError>;
    async fn collect(op: OperationId, unknown: Vec<String>) -> Result<(), DriverError>;
}
