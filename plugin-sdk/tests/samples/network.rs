//! Networks and NICs.

use hull_plugin::network::*;
use hull_plugin::{DeviceName, InstanceId, NetworkName};

use super::common::{config, error, handle, network_namespace, op, texts};
use super::samples;
use super::storage::reconciled;

fn name() -> NetworkName {
    NetworkName::new("br0").unwrap()
}

fn spec() -> NetworkSpec {
    NetworkSpec { name: name(), config: config() }
}

fn nic() -> NicSpec {
    NicSpec {
        instance: InstanceId::new("c1").unwrap(),
        host_name: "c1".into(),
        device: DeviceName::new("eth0").unwrap(),
        network: Some(name()),
        name: "eth0".into(),
        hwaddr: "00:16:3e:00:00:01".into(),
        mtu: Some(9000),
        config: config(),
    }
}

pub(super) fn interface() -> InterfaceState {
    InterfaceState {
        name: "eth0".into(),
        hwaddr: "00:16:3e:00:00:01".into(),
        mtu: 1500,
        up: true,
        kind: "broadcast".into(),
        addresses: vec![Address {
            family: "inet".into(),
            address: "10.0.0.2".into(),
            netmask: "24".into(),
            scope: "global".into(),
        }],
        counters: Counters {
            bytes_received: 1,
            bytes_sent: 2,
            packets_received: 3,
            packets_sent: 4,
            errors_received: 5,
            errors_sent: 6,
            packets_dropped_inbound: 7,
            packets_dropped_outbound: 8,
        },
        host_name: "veth1".into(),
    }
}

fn lease() -> Lease {
    Lease { hostname: "c1".into(), hwaddr: "h".into(), address: "a".into(), kind: "dynamic".into() }
}

samples!(network, NetworkDriverRequest, NetworkDriverResponse, {
    EnsureNetwork { op: op(), spec: spec() } => Ok(NetworkReady { handle: handle(), config: config() });
    ValidateNetwork { spec: spec() } => Err(error());
    DeleteNetwork { op: op(), name: name(), handle: Some(handle()) } => Ok(());
    NetworkState { name: name() } => Ok(interface());
    Leases { name: name() } => Ok(vec![lease()]);
    HostInterfaces {} => Ok(vec![("eth0".into(), "physical".into())]);
    AttachNic { op: op(), nic: nic(), target: NicTarget::Namespace(network_namespace()) } =>
        Ok(Attachment { handle: handle(), host_name: "veth1".into() });
    DetachNic {
        op: op(), instance: InstanceId::new("c1").unwrap(), device: DeviceName::new("eth0").unwrap(), handle: None
    } => Ok(());
    Reconcile { known: texts(), last: false } => Ok(reconciled());
    Collect { op: op(), unknown: texts() } => Ok(());
});
