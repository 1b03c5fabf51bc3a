//! Accepting connections, and handing each to the current gateway.

use std::sync::Arc;

use hull_gateway_contract::GatewayClient;
use hull_wire::{RequestId, SocketFd};
use nix::sys::socket::{getsockopt, sockopt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::PeerCredentials;
use super::process::Gateway;
use super::table::Connections;

/// Accepts until told to stop. While no gateway is ready, clients wait in the socket's queue.
pub(super) async fn accept(
    listener: UnixListener,
    connections: Connections,
    mut current: watch::Receiver<Option<Arc<Gateway>>>,
    stop: CancellationToken,
) {
    loop {
        let ready = async { current.wait_for(Option::is_some).await.ok().and_then(|gateway| gateway.clone()) };
        let gateway = tokio::select! {
            gateway = ready => gateway,
            () = stop.cancelled() => return,
        };
        let Some(gateway) = gateway else { return };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            // A gateway that ends or is retired meanwhile must not be given a connection.
            _ = current.changed() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                if let Err(error) = hand_over(stream, &connections, gateway.number, &gateway.client).await {
                    tracing::debug!(%error, "connection lost on its way to the gateway");
                }
            }
            Err(error) => {
                // Out of descriptors: one that closes makes room, and the client is still waiting.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    }
}

async fn hand_over(
    stream: UnixStream,
    connections: &Connections,
    gateway: u32,
    client: &GatewayClient,
) -> std::io::Result<()> {
    let peer = getsockopt(&stream, sockopt::PeerCredentials)?;
    let peer = PeerCredentials { uid: peer.uid(), gid: peer.gid(), pid: peer.pid() };
    let token = connections.opened(peer, gateway)?;
    let context = hull_wire::context(RequestId(token.0), std::time::Duration::from_secs(5));
    let handed = client.connection(context, SocketFd::new(stream.into_std()?), token).await;
    handed.map_err(|error| {
        connections.closed(token);
        std::io::Error::other(error)
    })
}
