//! The process: one inherited socket at which hullds attach themselves, one event loop.
//!
//! A hulld that ends takes nothing with it: requests wait for the next one (see [`crate::line`]). The process ends when the
//! socket does (hulld and its keeper are gone), or when it was retired and its last connection has ended.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use hull_gateway_contract::{ATTACH, ATTACH_FD, ApiClient, Gateway, Token};
use hull_sys::message::{self, inherited};
use hull_wire::SocketFd;
use tarpc::context::Context;
use tarpc::server::{BaseChannel, Channel};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::{LocalSet, spawn_local};

use crate::connection;
use crate::hub::Hub;
use crate::sys::watch;

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
    let Ok(attachments) = inherited(ATTACH_FD) else {
        tracing::error!("hull-gateway is started by hulld, not by hand");
        return ExitCode::from(64); // EX_USAGE
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(HELPER_THREADS)
        .thread_keep_alive(Duration::from_secs(2))
        .build();
    let ended = runtime.and_then(|runtime| {
        let ended = LocalSet::new().block_on(&runtime, run(attachments));
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

/// Serves whichever hulld is attached, until the `attachments` socket ends or this gateway is retired and done. Must run
/// inside a `LocalSet`.
///
/// # Errors
/// The socket is unusable.
pub async fn run(attachments: OwnedFd) -> io::Result<()> {
    let hub = Rc::new(Hub::new());
    let attachments = watch(Arc::new(attachments))?;
    let mut number = 0;
    let result = loop {
        let attached = tokio::select! {
            attached = next(&attachments) => attached,
            () = hub.retired() => break Ok(()),
        };
        match attached {
            Ok(Some((gateway, api))) => {
                number += 1;
                if let Err(error) = attach(&hub, number, gateway, api) {
                    tracing::error!(%error, "hulld's channels cannot be used");
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    hub.line.end();
    hub.draining.cancel();
    hub.connections.close();
    if tokio::time::timeout(GOODBYE, hub.connections.wait()).await.is_err() {
        tracing::debug!("connections were still busy at the end");
    }
    result
}

/// The channels of the next hulld; `None`: none will come any more.
async fn next(attachments: &AsyncFd<Arc<OwnedFd>>) -> io::Result<Option<(OwnedFd, OwnedFd)>> {
    let mut buffer = [0; 64];
    loop {
        let receive = |socket: &Arc<OwnedFd>| Ok(message::receive(socket.as_fd(), &mut buffer)?);
        let (length, descriptors) = attachments.async_io(Interest::READABLE, receive).await?;
        if length == 0 {
            return Ok(None);
        }
        match <[OwnedFd; 2]>::try_from(descriptors) {
            Ok([gateway, api]) if &buffer[..length] == ATTACH => return Ok(Some((gateway, api))),
            _ => tracing::error!("a hulld speaks another contract than this gateway; waiting for one that does not"),
        }
    }
}

fn attach(hub: &Rc<Hub>, number: u64, gateway: OwnedFd, api: OwnedFd) -> io::Result<()> {
    let mut config = tarpc::client::Config::default();
    config.max_in_flight_requests = CALLS_IN_FLIGHT;
    config.pending_request_buffer = CALLS_QUEUED;
    let api = ApiClient::new(config, hull_wire::connect(api)?);
    let requests = BaseChannel::with_defaults(hull_wire::accept(gateway)?).execute(Server(hub.clone()).serve());
    hub.line.attach(number, api.client);
    let watcher = hub.clone();
    spawn_local(async move {
        if let Err(error) = api.dispatch.await {
            tracing::debug!(%error, "the channel to hulld broke");
        }
        watcher.line.lost(number);
    });
    spawn_local(async move {
        let mut requests = std::pin::pin!(requests);
        while let Some(request) = requests.next().await {
            spawn_local(request);
        }
    });
    Ok(())
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

    async fn hold(self, _: Context) {
        self.0.line.hold().await;
    }

    async fn release(self, _: Context) {
        self.0.line.release();
    }

    async fn retire(self, _: Context) {
        self.0.retiring.cancel();
    }
}
