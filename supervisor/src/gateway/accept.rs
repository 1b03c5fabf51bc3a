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

/// What one user may hold open, what all users but root together, and what root. A gateway has room for all of it
/// (a handful of descriptors and at most some 64 KiB each), so that whoever opens too many shuts out himself.
const MOST_OF_ONE: usize = 1024;
const MOST_OF_ALL: usize = 4096;
const MOST_OF_ROOT: usize = 4096;

/// What a client gets that has too many connections.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
    connection: close\r\ncontent-length: 145\r\n\r\n\
    {\"type\":\"error\",\"status\":\"\",\"status_code\":0,\"operation\":\"\",\"error_code\":503,\"error\":\"too many connections are open: close some\",\"metadata\":null}\n";

/// Every open connection: the token its gateway has, and who is at the other end.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    peers: HashMap<Token, PeerCredentials>,
    /// How many each user has.
    of_user: HashMap<u32, usize>,
}

impl Connections {
    pub(super) fn peer(&self, token: Token) -> Option<PeerCredentials> {
        self.all().peers.get(&token).copied()
    }

    pub(super) fn closed(&self, token: Token) {
        let mut open = self.all();
        let Some(peer) = open.peers.remove(&token) else { return };
        if let Some(count) = open.of_user.get_mut(&peer.uid) {
            *count -= 1;
            if *count == 0 {
                open.of_user.remove(&peer.uid);
            }
        }
    }

    /// The gateway has ended, and all its connections with it.
    pub(super) fn all_closed(&self) {
        *self.all() = Open::default();
    }

    /// `None`: the user, or all users together, have enough.
    fn opened(&self, peer: PeerCredentials) -> Option<Token> {
        let mut open = self.all();
        let of = |uid: u32| open.of_user.get(&uid).copied().unwrap_or(0);
        let room = match peer.uid {
            0 => of(0) < MOST_OF_ROOT,
            uid => of(uid) < MOST_OF_ONE && open.peers.len() - of(0) < MOST_OF_ALL,
        };
        let token = room.then(|| Token(rand::random()))?;
        open.peers.insert(token, peer);
        *open.of_user.entry(peer.uid).or_default() += 1;
        Some(token)
    }

    fn all(&self) -> MutexGuard<'_, Open> {
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
    let Some(token) = connections.opened(peer) else {
        tracing::debug!(peer.uid, "a user has too many connections");
        return stream.try_write(TOO_MANY).map(drop);
    };
    let context = hull_wire::context(RequestId(token.0), std::time::Duration::from_secs(5));
    let handed = client.connection(context, SocketFd::new(stream.into_std()?), token).await;
    handed.map_err(|error| {
        connections.closed(token);
        std::io::Error::other(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(uid: u32) -> PeerCredentials {
        PeerCredentials { uid, gid: 0, pid: 1 }
    }

    #[test]
    fn who_opens_too_many_shuts_out_nobody_else() {
        let connections = Connections::default();
        let first = connections.opened(user(1000)).unwrap();
        assert_eq!((1..2 * MOST_OF_ONE).filter_map(|_| connections.opened(user(1000))).count(), MOST_OF_ONE - 1);
        assert!(connections.opened(user(1001)).is_some());
        connections.closed(first);
        connections.closed(first); // said twice, counted once
        assert!(connections.opened(user(1000)).is_some() && connections.opened(user(1000)).is_none());

        let attempts = (1002..1010).flat_map(|uid| std::iter::repeat_n(uid, MOST_OF_ONE));
        let opened = attempts.filter_map(|uid| connections.opened(user(uid))).count();
        assert_eq!(opened, MOST_OF_ALL - MOST_OF_ONE - 1);
        assert!(connections.opened(user(2000)).is_none(), "all users together have a bound");
        assert_eq!((0..2 * MOST_OF_ROOT).filter_map(|_| connections.opened(user(0))).count(), MOST_OF_ROOT);
        connections.all_closed();
        assert!(connections.opened(user(1000)).is_some());
    }

    #[test]
    fn the_refusal_is_an_answer_in_the_usual_envelope() {
        let text = std::str::from_utf8(TOO_MANY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        let envelope: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&envelope["type"], &envelope["error_code"]), (&"error".into(), &503.into()));
    }
}
