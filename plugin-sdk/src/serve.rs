//! A plugin's whole `main`: three inherited sockets, one event loop.
//!
//! Each request runs in a task of its own that nobody aborts: a caller who goes away stops waiting, but an effect of
//! several steps is never cut in the middle. The process ends when Hull closes the lifecycle channel.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::rc::Rc;

use futures::StreamExt;
use hull_sys::message::inherited;
use tarpc::server::{BaseChannel, Channel, Serve};
use tarpc::{RequestName, ServerError};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::image::ImageSource;
use crate::instance::InstanceDriver;
use crate::lifecycle::{Driver, Hello, HostHello, Lifecycle, StoredHandle};
use crate::network::NetworkDriver;
use crate::storage::StorageDriver;
use crate::{
    CONTRACT, Description, DriverError, Health, HostClient, HostHandle, PluginKind, Recovered, ServerTransport,
};

/// [`Lifecycle`], served by the plugin.
pub const LIFECYCLE_FD: i32 = 3;
/// The kind's contract, served by the plugin.
pub const DRIVER_FD: i32 = 4;
/// [`crate::Host`], served by Hull.
pub const HOST_FD: i32 = 5;
/// The socket to the helper, if the manifest asks for one.
pub const HELPER_FD: i32 = 6;

pub fn serve_storage<D: Driver + StorageDriver>(make: impl FnOnce(HostHandle) -> D) -> ExitCode {
    main(PluginKind::Storage, make, StorageDriver::serve)
}

pub fn serve_network<D: Driver + NetworkDriver>(make: impl FnOnce(HostHandle) -> D) -> ExitCode {
    main(PluginKind::Network, make, NetworkDriver::serve)
}

pub fn serve_instance<D: Driver + InstanceDriver>(make: impl FnOnce(HostHandle) -> D) -> ExitCode {
    main(PluginKind::Instance, make, InstanceDriver::serve)
}

pub fn serve_image<D: Driver + ImageSource>(make: impl FnOnce(HostHandle) -> D) -> ExitCode {
    main(PluginKind::Image, make, ImageSource::serve)
}

/// The sockets of one plugin, either end.
pub(crate) struct Sockets {
    pub(crate) lifecycle: OwnedFd,
    pub(crate) driver: OwnedFd,
    pub(crate) host: OwnedFd,
}

fn main<D, S>(kind: PluginKind, make: impl FnOnce(HostHandle) -> D, contract: impl FnOnce(D) -> S) -> ExitCode
where
    D: Driver,
    S: Serve + Clone + 'static,
    S::Req: RequestName + serde::de::DeserializeOwned + 'static,
    S::Resp: serde::Serialize + 'static,
{
    crate::logging::init();
    let sockets = match (inherited(LIFECYCLE_FD), inherited(DRIVER_FD), inherited(HOST_FD)) {
        (Ok(lifecycle), Ok(driver), Ok(host)) => Sockets { lifecycle, driver, host },
        _ => {
            tracing::error!("this program is a Hull plugin: it is started by hulld, not by hand");
            return ExitCode::from(64); // EX_USAGE
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the event loop");
            return ExitCode::FAILURE;
        }
    };
    match tokio::task::LocalSet::new().block_on(&runtime, run(kind, sockets, make, contract)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "cannot use the sockets hulld gave");
            ExitCode::FAILURE
        }
    }
}

/// Serves a driver until the lifecycle channel closes. Must run inside a `LocalSet`.
pub(crate) async fn run<D, S>(
    kind: PluginKind,
    sockets: Sockets,
    make: impl FnOnce(HostHandle) -> D,
    contract: impl FnOnce(D) -> S,
) -> std::io::Result<()>
where
    D: Driver,
    S: Serve + Clone + 'static,
    S::Req: RequestName + serde::de::DeserializeOwned + 'static,
    S::Resp: serde::Serialize + 'static,
{
    let host = HostClient::new(tarpc::client::Config::default(), hull_wire::connect(sockets.host)?);
    tokio::task::spawn_local(async move {
        if let Err(error) = host.dispatch.await {
            tracing::debug!(%error, "upcall channel closed");
        }
    });
    let tasks = TaskTracker::new();
    let driver = make(HostHandle::new(host.client));
    let lifecycle = Common {
        kind,
        driver: driver.clone(),
        tasks: tasks.clone(),
        settled: Rc::new(Cell::new(CONTRACT.oldest)),
        turn: Rc::default(),
    };
    let owned = OwnedTasks { inner: contract(driver), tasks };
    tokio::task::spawn_local(serve_on(hull_wire::accept(sockets.driver)?, owned));
    serve_on(hull_wire::accept(sockets.lifecycle)?, lifecycle.serve()).await;
    Ok(())
}

/// Answers requests until the other end closes the connection or breaks the protocol.
pub(crate) async fn serve_on<S>(transport: ServerTransport<S::Req, S::Resp>, serve: S)
where
    S: Serve + Clone + 'static,
    S::Req: RequestName + serde::de::DeserializeOwned + 'static,
    S::Resp: serde::Serialize + 'static,
{
    let mut requests = std::pin::pin!(BaseChannel::with_defaults(transport).execute(serve));
    while let Some(request) = requests.next().await {
        tokio::task::spawn_local(request);
    }
}

tokio::task_local! {
    /// Cancelled when nobody waits for the request's answer any more.
    static CALLER_LEFT: CancellationToken;
}

/// Resolves when nobody waits for the current call any more: it was cancelled, or its deadline is over. Long work that
/// can be given up without a trace (a download, a build) selects on it; what does not is finished as usual.
pub async fn caller_left() {
    match CALLER_LEFT.try_with(CancellationToken::clone) {
        Ok(left) => left.cancelled().await,
        Err(_not_in_a_call) => std::future::pending().await,
    }
}

/// Runs every request in a task that outlives its caller's patience.
#[derive(Clone)]
struct OwnedTasks<S> {
    inner: S,
    tasks: TaskTracker,
}

impl<S> Serve for OwnedTasks<S>
where
    S: Serve + Clone + 'static,
    S::Req: 'static,
    S::Resp: 'static,
{
    type Req = S::Req;
    type Resp = S::Resp;

    async fn serve(self, context: tarpc::context::Context, request: S::Req) -> Result<S::Resp, ServerError> {
        let id = hull_wire::request_id(&context);
        let waiting = CancellationToken::new();
        let _caller = waiting.clone().drop_guard();
        let work = crate::logging::within_request(id, self.inner.serve(context, request));
        let work = CALLER_LEFT.scope(waiting, work);
        self.tasks.spawn_local(work).await.unwrap_or_else(|error| {
            Err(ServerError::new(std::io::ErrorKind::Other, format!("the driver's handler panicked: {error}")))
        })
    }
}

#[derive(Clone)]
struct Common<D> {
    kind: PluginKind,
    driver: D,
    tasks: TaskTracker,
    /// The contract's version that Hull and this plugin speak.
    settled: Rc<Cell<u32>>,
    /// `hand_over` and `take_charge` one after the other: the second may come because the first took too long.
    turn: Rc<Mutex<()>>,
}

impl<D: Driver> Lifecycle for Common<D> {
    async fn hello(self, _: tarpc::context::Context, host: HostHello) -> Hello {
        self.settled.set(CONTRACT.settle(host.contract).unwrap_or(CONTRACT.oldest));
        let description = self.driver.describe();
        Hello { name: description.driver, version: description.version, kind: self.kind, contract: CONTRACT }
    }

    async fn describe(self, _: tarpc::context::Context) -> Description {
        self.driver.describe().in_contract(self.settled.get())
    }

    async fn recover(
        self,
        context: tarpc::context::Context,
        handles: Vec<StoredHandle>,
    ) -> Result<Vec<Recovered>, DriverError> {
        crate::logging::within_request(hull_wire::request_id(&context), self.driver.recover(handles)).await
    }

    async fn health(self, _: tarpc::context::Context) -> Health {
        self.driver.health().await
    }

    async fn drain(self, _: tarpc::context::Context) -> Result<(), DriverError> {
        self.tasks.close();
        self.tasks.wait().await;
        Ok(())
    }

    async fn hand_over(self, _: tarpc::context::Context) -> Result<(), DriverError> {
        let _turn = self.turn.lock().await;
        self.driver.hand_over().await
    }

    async fn take_charge(self, _: tarpc::context::Context) -> Result<(), DriverError> {
        let _turn = self.turn.lock().await;
        self.driver.take_charge().await
    }
}
