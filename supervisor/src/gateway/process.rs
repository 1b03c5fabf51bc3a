//! The gateway process: started at once, restarted when it ends; connections that come meanwhile wait.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use futures::StreamExt;
use hull_gateway_contract::{Api, ApiCall, ApiReply, GatewayClient, Token};
use hull_plugin::tarpc::client::Config;
use hull_plugin::tarpc::server::{self, BaseChannel, Channel};
use hull_plugin::{Context, RequestId, SocketFd, accept, connect, context};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::peers::{Connection, Peer, Peers};
use super::{answer, request};
use crate::logging::within_request;
use crate::plugins::sandbox::{self, Child, SpawnError, Target};
use crate::plugins::{Environment, Output, Plugins, chain, describe_status};

/// How many requests are worked on at a time.
const CONCURRENT: usize = 1024;
/// How many accepted connections may wait for a gateway.
const WAITING: usize = 1024;
/// Handing a connection over is one message.
const HANDOVER: Duration = Duration::from_secs(5);
/// Between two signs of life asked of the gateway.
const HEALTH_INTERVAL: Duration = Duration::from_secs(10);
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);
/// A gateway that lived for so long did not crash by construction.
const STABLE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The last requests may take so long when hulld ends.
const DRAIN: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum GatewaysError {
    #[error("hull-gateway is not beside hulld, at `{}`: build or install it", path.display())]
    Missing { path: PathBuf },
}

/// The API's front: accepts connections and has a gateway speak HTTP on them.
pub struct Gateways {
    stop: CancellationToken,
    tasks: tokio_util::task::TaskTracker,
}

impl Gateways {
    /// Serves `router` on `listener`.
    pub fn start(plugins: &Plugins, listener: UnixListener, router: Router) -> Result<Self, GatewaysError> {
        let environment = plugins.environment().clone();
        let executable = environment.executable.with_file_name("hull-gateway");
        if !executable.is_file() {
            return Err(GatewaysError::Missing { path: executable });
        }
        let (stop, tasks, peers) = (CancellationToken::new(), tokio_util::task::TaskTracker::new(), Peers::default());
        let (sender, receiver) = mpsc::channel(WAITING);
        let owner = Owner { environment, executable, router, peers: peers.clone(), waiting: receiver, held: None };
        tasks.spawn(accept_all(listener, peers, sender, stop.clone()));
        tasks.spawn(owner.run(stop.clone()));
        tasks.close();
        Ok(Self { stop, tasks })
    }

    /// Takes no more connections, lets running requests finish for a moment, and ends the gateway.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        if tokio::time::timeout(DRAIN * 2, self.tasks.wait()).await.is_err() {
            tracing::warn!("the gateway did not end in time");
        }
    }
}

async fn accept_all(listener: UnixListener, peers: Peers, sender: mpsc::Sender<Connection>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let admitted = accepted.and_then(|(stream, _)| {
            let credentials = stream.peer_cred()?;
            let process = credentials.pid().unwrap_or(0);
            let peer = Peer { user: credentials.uid(), group: credentials.gid(), process };
            Ok(peers.admit(OwnedFd::from(stream.into_std()?), peer))
        });
        match admitted {
            Ok(connection) => {
                if sender.send(connection).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // Out of descriptors, most likely: the next accept would fail the same way at once.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// The one task that holds the gateway process.
struct Owner {
    environment: Arc<Environment>,
    executable: PathBuf,
    router: Router,
    peers: Peers,
    waiting: mpsc::Receiver<Connection>,
    /// A connection that the last gateway did not confirm.
    held: Option<Connection>,
}

struct Running {
    child: Child,
    client: GatewayClient,
    tasks: tokio_util::task::TaskTracker,
}

impl Owner {
    async fn run(mut self, stop: CancellationToken) {
        let mut quick_ends = 0_u32;
        loop {
            let since = Instant::now();
            let ended = match self.spawn().await {
                Ok(running) => self.serve(running, &stop).await,
                Err(error) => Some(format!("cannot be started: {}", chain(&error))),
            };
            let Some(ended) = ended else { return };
            tracing::error!(ended, "gateway ended; starting it again");
            quick_ends = if since.elapsed() >= STABLE { 0 } else { quick_ends.saturating_add(1) };
            let pause = FIRST_PAUSE.saturating_mul(1 << quick_ends.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    async fn spawn(&self) -> Result<Running, SpawnError> {
        let Environment { hull_dir, cgroups, .. } = &*self.environment;
        let plan = sandbox::gateway_plan(hull_dir, cgroups, &self.executable)?;
        let (ours, theirs) = hull_sys::message::packet_pair()?;
        let (our_api, their_api) = hull_sys::message::packet_pair()?;
        let (output, their_output) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK)?;
        let descriptors = [theirs.as_fd(), their_api.as_fd()];
        let stage = &self.environment.executable;
        let child = sandbox::spawn(stage, &plan, &descriptors, their_output.as_fd(), Target::Supervisor).await?;
        let tasks = tokio_util::task::TaskTracker::new();
        let gateway = GatewayClient::new(Config::default(), connect(ours)?);
        tasks.spawn(gateway.dispatch);
        let server = Server { router: self.router.clone(), peers: self.peers.clone() };
        let channel = BaseChannel::new(server::Config { pending_response_buffer: 256 }, accept(our_api)?);
        let requests = channel.execute(server.serve());
        tasks.spawn(async move {
            requests.for_each_concurrent(CONCURRENT, |request| async { _ = tokio::spawn(request).await }).await;
        });
        let follow = Output::default().follow("gateway".into(), output);
        tasks.spawn(async move {
            if let Err(error) = follow.await {
                tracing::debug!(%error, "the gateway's output is lost");
            }
        });
        tracing::info!(pid = child.pid(), "gateway started");
        Ok(Running { child, client: gateway.client, tasks })
    }

    /// Hands connections over until the process ends (and says how), or hulld does (`None`).
    async fn serve(&mut self, running: Running, stop: &CancellationToken) -> Option<String> {
        let mut health = tokio::time::interval_at(tokio::time::Instant::now() + HEALTH_INTERVAL, HEALTH_INTERVAL);
        if let Some(connection) = self.held.take()
            && let Err(why) = self.hand_over(&running, connection).await
        {
            return Some(end(running, Some(why)).await);
        }
        loop {
            let trouble = tokio::select! {
                () = stop.cancelled() => {
                    let request = context(RequestId(0), DRAIN);
                    // What does not finish in time ends with the process.
                    let _ = tokio::time::timeout(DRAIN, running.client.drain(request)).await;
                    end(running, Some("hulld ends".into())).await;
                    return None;
                }
                () = running.child.exited() => None,
                Some(connection) = self.waiting.recv() => match self.hand_over(&running, connection).await {
                    Ok(()) => continue,
                    Err(why) => Some(why),
                },
                _ = health.tick() => match running.client.health(context(RequestId(0), SIGN_OF_LIFE)).await {
                    Ok(true) => continue,
                    Ok(false) => Some("it says it is not well".into()),
                    Err(error) => Some(format!("it gave no sign of life: {error}")),
                },
            };
            return Some(end(running, trouble).await);
        }
    }

    async fn hand_over(&mut self, running: &Running, connection: Connection) -> Result<(), String> {
        let Connection { socket, token } = connection;
        let copy = socket.try_clone().map_err(|error| error.to_string())?;
        match running.client.connection(context(RequestId(0), HANDOVER), SocketFd::new(copy), token).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.held = Some(Connection { socket, token });
                Err(format!("it took no connection: {error}"))
            }
        }
    }
}

async fn end(running: Running, trouble: Option<String>) -> String {
    if trouble.is_some() {
        running.child.kill();
    }
    // One that survives SIGKILL is stuck in the kernel; it can do nothing for nobody any more.
    let _ = tokio::time::timeout(Duration::from_secs(2), running.child.exited()).await;
    running.tasks.close();
    let how = running.child.status().map_or_else(|| "nobody knows how".into(), describe_status);
    trouble.map_or_else(|| how.clone(), |trouble| format!("{trouble} ({how})"))
}

#[derive(Clone)]
struct Server {
    router: Router,
    peers: Peers,
}

impl Api for Server {
    async fn call(self, _: Context, call: ApiCall) -> ApiReply {
        let Some(peer) = self.peers.of(call.token) else {
            return answer::refusal(403, "the connection of this request is not open");
        };
        let id = call.request;
        let request = match request::from_call(call, peer) {
            Ok(request) => request,
            Err(error) => return answer::refusal(400, &format!("not a valid request: {error}")),
        };
        within_request(id, async {
            match self.router.oneshot(request).await {
                Ok(response) => answer::from_response(response).await,
                Err(never) => match never {},
            }
        })
        .await
    }

    async fn closed(self, _: Context, token: Token) {
        self.peers.forget(token);
    }
}
