//! A network driver.

use std::sync::Arc;

use hull_plugin::network::{Attachment, InterfaceState, Lease, NetworkReady, NetworkSpec, NicSpec, NicTarget};
use hull_plugin::storage::Reconciled;
use hull_plugin::{DeviceName, Handle, InstanceId, NetworkName, OperationId};

use super::declare::{CHANGE, QUERY, SLOW, driver_handle};
use super::reconcile::reconcile_all;
use crate::plugins::process::Process;

/// All networks of one driver.
#[derive(Clone)]
pub struct NetworkHandle {
    pub(crate) process: Arc<Process>,
}

reconcile_all!(NetworkHandle, String);

driver_handle! {
    NetworkHandle, network {
        ensure_network(op: &OperationId, spec: &NetworkSpec) -> NetworkReady, SLOW;
        validate_network(spec: &NetworkSpec) -> (), QUERY;
        delete_network(op: &OperationId, name: &NetworkName, handle: &Option<Handle>) -> (), SLOW;
        network_state(name: &NetworkName) -> InterfaceState, QUERY;
        leases(name: &NetworkName) -> Vec<Lease>, QUERY;
        host_interfaces() -> Vec<(String, String)>, QUERY;
        attach_nic(op: &OperationId, nic: &NicSpec, target: &NicTarget) -> Attachment, CHANGE;
        detach_nic(op: &OperationId, instance: &InstanceId, device: &DeviceName, handle: &Option<Handle>) -> (), CHANGE;
        reconcile(known: &[String], last: bool) -> Reconciled, SLOW;
        collect(op: &OperationId, unknown: &[String]) -> (), SLOW;
    }
}
