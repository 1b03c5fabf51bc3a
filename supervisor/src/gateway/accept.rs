//! Accepting connections, and which of them are open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hull_gateway_contract::{GatewayClient, Token};
use hull_wire::{RequestId, SocketFd};
use nix::sys::socket::{getsockopt, sockopt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::PeerCredentials;

/// Every open connection: the token its gateway has, and who is at the other end.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Mutex<HashMap<Token, PeerCredentials>>>);

impl Connections {
    pub(super) fn peer(&self, token: Token) -> Option<PeerCredentials> {
        self.all().get(&token).copied()
    }

    pub(super) fn closed(&self, token: Token) {
        self.all().remove(&token);
    }

    /// The gateway has ended, and all its connections with it.
    pub(super) fn all_closed(&self) {
        self.all().clear();
    }

    fn opened(&self, peer: PeerCredentials) -> Token {
        let token = Token(rand::random());
        self.all().insert(token, peer);
        token
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Token, PeerCredentials>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts until told to stop. While no gateway is ready, clients wait in the socket's queue.
pub(super) async fn accept(
    listener: UnixListener,
    connections: Connections,
    mut gateway: watch::Receiver<Option<GatewayClient>>,
    stop: CancellationToken,
) {
    loop {
        let ready = async { gateway.wait_for(Option::is_some).await.ok().and_then(|client| client.clone()) };
        let client = tokio::select! {
            client = ready => client,
            () = stop.cancelled() => return,
        };
        let Some(client) = client else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
            // A gateway that ends meanwhile must not be given a connection.
            _ = gateway.changed() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                if let Err(error) = hand_over(stream, &connections, &client).await {
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

async fn hand_over(stream: UnixStream, connections: &Connections, client: &GatewayClient) -> std::io::Result<()> {
    let peer = getsockopt(&stream, sockopt::PeerCredentials)?;
    let peer = PeerCredentials { uid: peer.uid(), gid: peer.gid(), pid: peer.pid() };
    let token = connections.opened(peer);
    let context = hull_wire::context(RequestId(token.0), std::time::Duration::from_secs(5));
    let handed = client.connection(context, SocketFd::new(stream.into_std()?), token).await;
    handed.map_err(|error| {
        connections.closed(token);
        std::io::Error::other(error)
    })
}
