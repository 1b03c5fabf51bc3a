//! For drivers' own tests: the driver in this process, behind the real sockets and the real transport.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use crate::image::{ImageSource, ImageSourceClient};
use crate::instance::{InstanceDriver, InstanceDriverClient};
use crate::network::{NetworkDriver, NetworkDriverClient};
use crate::serve::{Sockets, run, serve_on};
use crate::storage::{StorageDriver, StorageDriverClient};
use crate::{
    AnyFd, Code, Context, Driver, DriverError, Host, HostHandle, LifecycleClient, OperationId, PluginKind, ProcessFd,
    Progress, RequestId, ServiceSpec, ServiceState,
};

/// A driver under test, as Hull sees it: `driver` is the kind's client.
pub struct Harness<Client> {
    pub lifecycle: LifecycleClient,
    pub driver: Client,
    pub host: RecordingHost,
}

/// A Hull that keeps descriptors and records progress.
#[derive(Clone, Default)]
pub struct RecordingHost {
    pub progress: Rc<RefCell<Vec<(OperationId, Progress)>>>,
    pub stored: Rc<RefCell<BTreeMap<String, AnyFd>>>,
    /// Who starts services; nobody unless the test says so.
    pub services: Rc<RefCell<Option<Box<dyn Services>>>>,
}

/// A test's way to run a driver's services.
pub trait Services {
    fn start(&mut self, spec: ServiceSpec) -> Result<ProcessFd, DriverError>;
    fn stop(&mut self, key: &str) -> Result<(), DriverError>;
}

/// The context of a test's call: a minute.
pub fn context() -> Context {
    hull_wire::context(RequestId(1), std::time::Duration::from_secs(60))
}

macro_rules! harness {
    ($($(#[$doc:meta])* $name:ident, $kind:ident, $contract:ident, $client:ident;)*) => {$(
        $(#[$doc])*
        /// Must be called inside a `tokio::task::LocalSet`.
        pub fn $name<D: Driver + $contract>(make: impl FnOnce(HostHandle) -> D + 'static) -> io::Result<Harness<$client>> {
            let (ours, theirs) = sockets()?;
            tokio::task::spawn_local(async move {
                if let Err(error) = run(PluginKind::$kind, theirs, make, $contract::serve).await {
                    tracing::error!(%error, "driver under test");
                }
            });
            let host = RecordingHost::default();
            tokio::task::spawn_local(serve_on(hull_wire::accept(ours.host)?, host.clone().serve()));
            let lifecycle = LifecycleClient::new(Default::default(), hull_wire::connect(ours.lifecycle)?);
            let driver = $client::new(Default::default(), hull_wire::connect(ours.driver)?);
            tokio::task::spawn_local(lifecycle.dispatch);
            tokio::task::spawn_local(driver.dispatch);
            Ok(Harness { lifecycle: lifecycle.client, driver: driver.client, host })
        }
    )*};
}

harness! {
    /// A storage driver behind its sockets.
    storage, Storage, StorageDriver, StorageDriverClient;
    /// A network driver behind its sockets.
    network, Network, NetworkDriver, NetworkDriverClient;
    /// An instance driver behind its sockets.
    instance, Instance, InstanceDriver, InstanceDriverClient;
    /// An image source behind its sockets.
    image, Image, ImageSource, ImageSourceClient;
}

fn sockets() -> io::Result<(Sockets, Sockets)> {
    let (our_lifecycle, lifecycle) = hull_sys::message::packet_pair()?;
    let (our_driver, driver) = hull_sys::message::packet_pair()?;
    let (our_host, host) = hull_sys::message::packet_pair()?;
    let ours = Sockets { lifecycle: our_lifecycle, driver: our_driver, host: our_host };
    Ok((ours, Sockets { lifecycle, driver, host }))
}

impl Host for RecordingHost {
    async fn progress(self, _: Context, op: OperationId, progress: Progress) {
        self.progress.borrow_mut().push((op, progress));
    }

    async fn store(self, _: Context, key: String, fd: AnyFd) -> Result<(), DriverError> {
        self.stored.borrow_mut().insert(key, fd);
        Ok(())
    }

    async fn fetch(self, _: Context, key: String) -> Result<Option<AnyFd>, DriverError> {
        let stored = self.stored.borrow();
        let copy = stored.get(&key).map(AnyFd::try_clone).transpose();
        copy.map_err(|error| DriverError::system(&error, "cannot duplicate the descriptor"))
    }

    async fn discard(self, _: Context, key: String) -> Result<(), DriverError> {
        self.stored.borrow_mut().remove(&key);
        Ok(())
    }

    async fn start_service(self, _: Context, spec: ServiceSpec) -> Result<ProcessFd, DriverError> {
        match self.services.borrow_mut().as_mut() {
            Some(services) => services.start(spec),
            None => {
                Err(DriverError::new(Code::Unsupported, format!("the test harness starts no service `{}`", spec.key)))
            }
        }
    }

    async fn stop_service(self, _: Context, key: String) -> Result<(), DriverError> {
        self.services.borrow_mut().as_mut().map_or(Ok(()), |services| services.stop(&key))
    }

    async fn service_state(self, _: Context, _: String) -> Result<ServiceState, DriverError> {
        Ok(ServiceState::Unknown)
    }
}
