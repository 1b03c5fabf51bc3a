//! The driver as Hull calls it: every method finds the open state and does its verb.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use hull_plugin::network::{
    Attachment, InterfaceState, Lease, NetworkDriver, NetworkReady, NetworkSpec, NicSpec, NicTarget,
};
use hull_plugin::storage::Reconciled;
use hull_plugin::{
    Charge, Context, Description, DeviceName, Driver, DriverError, Handle, Health, HostHandle, InstanceId, NetworkName,
    OperationId, Recovered, StoredHandle,
};
use tokio::sync::Mutex;

use crate::config::{network_keys, nic_keys};
use crate::firewall::Firewall;
use crate::handle::{self, Object};
use crate::link::Links;
use crate::state::State;
use crate::{network, nic, reconcile};

/// Managed bridges and the NICs in them.
#[derive(Clone)]
pub(crate) struct BridgeDriver(Rc<Inner>);

struct Inner {
    directory: PathBuf,
    host: HostHandle,
    /// Why there is none: kept, since a driver that cannot start must still be able to say so.
    open: RefCell<Result<Rc<Open>, DriverError>>,
    /// Of the state directory.
    charge: Charge,
    /// What `reconcile` has been told so far. Not of [`Open`]: a process that takes charge again in the middle of it would
    /// take the first half for unknown.
    known: RefCell<BTreeSet<String>>,
}

/// What all verbs work with.
pub(crate) struct Open {
    pub(crate) state: State,
    pub(crate) links: Links,
    pub(crate) firewall: Firewall,
    pub(crate) host: HostHandle,
    /// Held while a network is made, changed or deleted: free subnets are chosen one at a time.
    pub(crate) networks: Mutex<()>,
}

impl BridgeDriver {
    /// Must be called inside a `LocalSet`. Works in the network namespace of the calling thread.
    pub(crate) fn new(directory: &Path, host: HostHandle) -> Self {
        let driver = Inner {
            directory: directory.to_owned(),
            open: RefCell::new(Open::new(directory, host.clone())),
            host,
            charge: Charge::default(),
            known: RefCell::default(),
        };
        Self(Rc::new(driver))
    }

    fn open(&self) -> Result<Rc<Open>, DriverError> {
        self.0.open.borrow().clone()
    }
}

impl Open {
    fn new(directory: &Path, host: HostHandle) -> Result<Rc<Self>, DriverError> {
        let opened = Self::try_new(directory, host).map(Rc::new);
        if let Err(error) = &opened {
            tracing::error!(%error, "cannot start");
        }
        opened
    }

    fn try_new(directory: &Path, host: HostHandle) -> Result<Self, DriverError> {
        let state = State::open(directory)?;
        let firewall = Firewall::new(state.tag());
        let links = Links::open()?;
        Ok(Self { state, links, firewall, host, networks: Mutex::default() })
    }

    async fn recovered(&self, stored: &StoredHandle) -> Result<Recovered, DriverError> {
        let interface = match handle::read(&stored.handle) {
            Some(Object::Network { name }) => name,
            Some(Object::Nic { host_interface }) => host_interface,
            None => return Ok(Recovered::Lost),
        };
        let found = self.links.find(&interface).await?;
        let ours = found.is_some_and(|link| link.alias == self.state.mark());
        Ok(if ours { Recovered::Adopted } else { Recovered::Gone { status: None } })
    }
}

impl Driver for BridgeDriver {
    fn describe(&self) -> Description {
        Description {
            driver: "bridge".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            capabilities: vec!["managed".into(), "nic:bridged".into()],
            config: network_keys(),
            item_config: nic_keys(),
            ..Description::default()
        }
    }

    async fn recover(&self, handles: Vec<StoredHandle>) -> Result<Vec<Recovered>, DriverError> {
        let open = self.open()?;
        let mut answers = Vec::with_capacity(handles.len());
        for stored in &handles {
            answers.push(open.recovered(stored).await?);
        }
        Ok(answers)
    }

    async fn health(&self) -> Health {
        match self.open() {
            Ok(_) => Health::Ready,
            Err(error) => Health::Unhealthy { why: error.to_string() },
        }
    }

    /// Calls that only read go on.
    async fn hand_over(&self) -> Result<(), DriverError> {
        self.0.charge.rest().await.give_up();
        Ok(())
    }

    /// Reads the state directory again: a predecessor has written in it since this process looked.
    async fn take_charge(&self) -> Result<(), DriverError> {
        let opened = Open::new(&self.0.directory, self.0.host.clone());
        *self.0.open.borrow_mut() = opened.clone();
        opened?;
        self.0.charge.take();
        Ok(())
    }
}

impl NetworkDriver for BridgeDriver {
    async fn ensure_network(self, _: Context, op: OperationId, spec: NetworkSpec) -> Result<NetworkReady, DriverError> {
        let _share = self.0.charge.share().await?;
        network::ensure(&*self.open()?, &op, &spec).await
    }

    async fn validate_network(self, _: Context, spec: NetworkSpec) -> Result<(), DriverError> {
        network::validate(&spec)
    }

    async fn delete_network(
        self,
        _: Context,
        _: OperationId,
        name: NetworkName,
        _: Option<Handle>,
    ) -> Result<(), DriverError> {
        let _share = self.0.charge.share().await?;
        network::delete(&*self.open()?, name.as_str()).await
    }

    async fn network_state(self, _: Context, name: NetworkName) -> Result<InterfaceState, DriverError> {
        network::state(&*self.open()?, name.as_str()).await
    }

    async fn leases(self, _: Context, name: NetworkName) -> Result<Vec<Lease>, DriverError> {
        network::leases(&*self.open()?, name.as_str()).await
    }

    async fn host_interfaces(self, _: Context) -> Result<Vec<(String, String)>, DriverError> {
        network::host_interfaces(&*self.open()?).await
    }

    async fn attach_nic(
        self,
        _: Context,
        _: OperationId,
        nic: NicSpec,
        target: NicTarget,
    ) -> Result<Attachment, DriverError> {
        let _share = self.0.charge.share().await?;
        nic::attach(&*self.open()?, &nic, target).await
    }

    async fn detach_nic(
        self,
        _: Context,
        _: OperationId,
        instance: InstanceId,
        device: DeviceName,
        _: Option<Handle>,
    ) -> Result<(), DriverError> {
        let _share = self.0.charge.share().await?;
        nic::detach(&*self.open()?, instance.as_str(), device.as_str()).await
    }

    async fn reconcile(self, _: Context, known: Vec<String>, last: bool) -> Result<Reconciled, DriverError> {
        self.0.known.borrow_mut().extend(known);
        if !last {
            return Ok(Reconciled::default());
        }
        let known = self.0.known.take();
        reconcile::reconcile(&*self.open()?, &known).await
    }

    async fn collect(self, _: Context, _: OperationId, unknown: Vec<String>) -> Result<(), DriverError> {
        let _share = self.0.charge.share().await?;
        reconcile::collect(&*self.open()?, &unknown).await
    }
}
