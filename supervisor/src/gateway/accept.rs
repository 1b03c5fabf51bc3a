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

/// What a client gets that has too many connections.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
    connection: close\r\ncontent-length: 145\r\n\r\n\
    {\"type\":\"error\",\"status\":\"\",\"status_code\":0,\"operation\":\"\",\"error_code\":503,\"error\":\"too many connections are open: close some\",\"metadata\":null}\n";

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
    let Some(token) = connections.opened(peer, gateway)? else {
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

    #[test]
    fn the_refusal_is_an_answer_in_the_usual_envelope() {
        let text = std::str::from_utf8(TOO_MANY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        let envelope: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&envelope["type"], &envelope["error_code"]), (&"error".into(), &503.into()));
    }
}
