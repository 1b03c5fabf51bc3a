//! The process: two inherited sockets, one event loop.
//!
//! It ends when hulld closes the `Gateway` channel (success) or the `Api` channel breaks (failure: running requests get a
//! 503 first, and hulld starts another gateway).

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use hull_gateway_contract::{API_FD, ApiClient, GATEWAY_FD, Gateway, Token};
use hull_sys::message::inherited;
use hull_wire::SocketFd;
use tarpc::context::Context;
use tarpc::server::{BaseChannel, Channel};
use tokio::task::{LocalSet, spawn_local};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection;
use crate::hub::Hub;

/// How long connections may take to say goodbye when hulld is gone.
const GOODBYE: Duration = Duration::from_secs(2);
/// Calls that may wait for hulld at once: each open `wait` or event stream is one.
const CALLS_IN_FLIGHT: usize = 1 << 20;
const CALLS_QUEUED: usize = 1024;
/// Helper threads move file content only, and give up quickly on slow clients.
const HELPER_THREADS: usize = 64;

/// The whole program.
pub fn main() -> ExitCode {
    hull_plugin::init_logging();
    let (Ok(gateway), Ok(api)) = (inherited(GATEWAY_FD), inherited(API_FD)) else {
        tracing::error!("hull-gateway is started by hulld, not by hand");
        return ExitCode::from(64); // EX_USAGE
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(HELPER_THREADS)
        .thread_keep_alive(Duration::from_secs(2))
        .build();
    let ended = runtime.and_then(|runtime| {
        let ended = LocalSet::new().block_on(&runtime, run(gateway, api));
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the gateway ends");
            ExitCode::FAILURE
        }
    }
}

/// Serves until hulld closes the `gateway` channel. Must run inside a `LocalSet`.
///
/// # Errors
/// The sockets are unusable, or the `api` channel broke.
pub async fn run(gateway: OwnedFd, api: OwnedFd) -> io::Result<()> {
    let mut config = tarpc::client::Config::default();
    config.max_in_flight_requests = CALLS_IN_FLIGHT;
    config.pending_request_buffer = CALLS_QUEUED;
    let api = ApiClient::new(config, hull_wire::connect(api)?);
    let channel = spawn_local(api.dispatch);
    let hub = Rc::new(Hub { api: api.client, connections: TaskTracker::new(), draining: CancellationToken::new() });
    let server = Server(hub.clone());
    let mut requests = std::pin::pin!(BaseChannel::with_defaults(hull_wire::accept(gateway)?).execute(server.serve()));
    let served = async {
        while let Some(request) = requests.next().await {
            spawn_local(request);
        }
    };
    let result = tokio::select! {
        () = served => Ok(()),
        broken = channel => Err(io::Error::other(format!("the channel to hulld broke: {broken:?}"))),
    };
    hub.draining.cancel();
    hub.connections.close();
    if tokio::time::timeout(GOODBYE, hub.connections.wait()).await.is_err() {
        tracing::debug!("connections were still busy at the end");
    }
    result
}

#[derive(Clone)]
struct Server(Rc<Hub>);

impl Gateway for Server {
    async fn connection(self, _: Context, connection: SocketFd, token: Token) {
        let hub = self.0;
        hub.connections.spawn_local(connection::serve(hub.clone(), connection.into_owned(), token));
    }

    async fn health(self, _: Context) -> bool {
        true
    }

    async fn drain(self, _: Context) {
        self.0.draining.cancel();
        self.0.connections.close();
        self.0.connections.wait().await;
    }
}
