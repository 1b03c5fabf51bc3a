//! The gateway's process: started in its sandbox, watched, started again at once.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::Router;
use futures::StreamExt;
use hull_gateway_contract::{Api, GatewayClient};
use hull_sys::message::packet_pair;
use hull_wire::RequestId;
use tarpc::server::{BaseChannel, Channel};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accept::{Connections, accept};
use super::answer::Answerer;
use crate::cgroups::Cgroups;
use crate::plugins::sandbox::{self, Child, SpawnError, Target};

/// What the gateway needs of hulld.
pub(crate) struct Settings {
    pub(crate) hull_dir: PathBuf,
    /// hulld's own program: it builds the sandbox, and the gateway is beside it.
    pub(crate) executable: PathBuf,
    pub(crate) cgroups: Cgroups,
}

/// The shortest life that counts as one: a gateway that ends sooner is started again only after a pause.
const SHORT_LIFE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(250);
/// How long answers may take to reach their clients when hulld ends.
const GOODBYE: Duration = Duration::from_secs(1);

/// Serves the API on `listener` until told to stop.
pub(crate) async fn serve(settings: Settings, listener: UnixListener, router: Router, stop: CancellationToken) {
    let connections = Connections::default();
    let (client, ready) = watch::channel(None);
    let answerer = Answerer { router, connections: connections.clone() };
    let tasks = TaskTracker::new();
    tasks.spawn(accept(listener, connections.clone(), ready, stop.clone()));
    while !stop.is_cancelled() {
        let started = Instant::now();
        match start(&settings, &answerer, &tasks).await {
            Ok((child, gateway)) => {
                client.send_replace(Some(gateway.clone()));
                tokio::select! {
                    () = child.exited() => tracing::warn!(pid = child.pid(), status = ?child.status(), "the gateway has ended; starting another"),
                    () = stop.cancelled() => end(&gateway, &child).await,
                }
            }
            Err(error) => tracing::error!(error = crate::plugins::chain(&error), "cannot start the gateway"),
        }
        client.send_replace(None);
        connections.all_closed();
        if started.elapsed() < SHORT_LIFE {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = stop.cancelled() => {}
            }
        }
    }
    tasks.close();
    tasks.wait().await;
}

async fn start(
    settings: &Settings,
    answerer: &Answerer,
    tasks: &TaskTracker,
) -> Result<(Child, GatewayClient), SpawnError> {
    let program = settings.executable.with_file_name("hull-gateway");
    let plan = sandbox::gateway_plan(&settings.hull_dir, &settings.cgroups, &program)?;
    let (gateway, their_gateway) = packet_pair()?;
    let (api, their_api) = packet_pair()?;
    let (output, their_output) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK)?;
    let theirs = [their_gateway.as_fd(), their_api.as_fd()];
    let mut child =
        sandbox::spawn(&settings.executable, &plan, &theirs, their_output.as_fd(), Target::Supervisor).await?;
    child.take_refusals().map(|refusals| tasks.spawn(refusals.follow()));
    tasks.spawn(log(output));
    let calls = BaseChannel::with_defaults(hull_wire::accept(api)?).execute(answerer.clone().serve());
    let serving = tasks.clone();
    tasks.spawn(async move {
        let mut calls = std::pin::pin!(calls);
        while let Some(call) = calls.next().await {
            serving.spawn(call);
        }
    });
    let client = GatewayClient::new(tarpc::client::Config::default(), hull_wire::connect(gateway)?);
    tasks.spawn(async move {
        if let Err(error) = client.dispatch.await {
            tracing::debug!(%error, "the gateway's channel has ended");
        }
    });
    Ok((child, client.client))
}

/// Lets it finish the answers it is sending, among them the one to who asked hulld to end.
async fn end(gateway: &GatewayClient, child: &Child) {
    let drained = gateway.drain(hull_wire::context(RequestId(rand::random()), GOODBYE)).await;
    if let Err(error) = drained {
        tracing::debug!(%error, "the gateway still had connections");
    }
    child.kill();
}

/// What the gateway says goes into hulld's log.
async fn log(output: std::os::fd::OwnedFd) {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let Ok(receiver) = tokio::net::unix::pipe::Receiver::from_owned_fd(output) else { return };
    let mut lines = BufReader::new(receiver).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::info!(plugin = "gateway", "{line}");
    }
}
