//! `/1.0/events`.

use std::os::fd::{AsFd, OwnedFd};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use hull_gateway_contract::Upgrade;
use hull_plugin::SocketFd;
use hull_sys::message;
use nix::errno::Errno;
use tokio::sync::broadcast::{self, error::RecvError};

use super::bus::Event;
use super::listeners;
use crate::api::{ApiError, Reply, Scope};
use crate::gateway::upgrade_response;
use crate::hull::Hull;
use crate::keeper::KeeperClient;

const KINDS: [&str; 3] = ["logging", "operation", "lifecycle"];

pub(crate) fn routes() -> Router<Hull> {
    Router::new().route("/1.0/events", get(listen))
}

async fn listen(State(hull): State<Hull>, scope: Scope) -> Reply {
    let wanted: Vec<&'static str> = match scope.value("type").filter(|text| !text.is_empty()) {
        None => KINDS.to_vec(),
        Some(text) => text.split(',').map(known).collect::<Result<_, _>>()?,
    };
    let (ours, theirs) =
        message::packet_pair().map_err(|error| ApiError::internal(format!("cannot make a socket: {error}")))?;
    let listener = Listener { events: hull.events.listen(), wanted, socket: ours };
    let key = listeners::keep(&hull.keeper, &listener.wanted, &listener.socket).await;
    hull.tasks.spawn(serve(hull.keeper.clone(), key, listener));
    Ok(upgrade_response(Upgrade::Messages(SocketFd::new(theirs))))
}

/// Goes on for those who listened to an earlier supervisor.
pub(crate) async fn go_on(hull: &Hull) {
    for (key, kinds, socket) in listeners::kept(&hull.keeper).await {
        let wanted = kinds.iter().filter_map(|kind| known(kind).ok()).collect();
        let listener = Listener { events: hull.events.listen(), wanted, socket };
        hull.tasks.spawn(serve(hull.keeper.clone(), Some(key), listener));
    }
}

async fn serve(keeper: KeeperClient, key: Option<String>, listener: Listener) {
    listener.forward().await;
    if let Some(key) = key {
        listeners::release(&keeper, &key).await;
    }
}

fn known(kind: &str) -> Result<&'static str, ApiError> {
    let found = KINDS.iter().find(|one| **one == kind);
    found.copied().ok_or_else(|| ApiError::bad_request(format!("\"{kind}\" isn't a supported event type")))
}

/// A client's websocket, and what goes there.
struct Listener {
    events: broadcast::Receiver<Event>,
    wanted: Vec<&'static str>,
    socket: OwnedFd,
}

impl Listener {
    /// Until the client is gone.
    async fn forward(self) {
        let Self { mut events, wanted, socket } = self;
        let Ok(mut gone) = ListenerGone::new(&socket) else { return };
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = gone.wait() => return,
            };
            match event {
                Ok(event) if wanted.contains(&event.kind) => {
                    match message::send(socket.as_fd(), event.text.as_bytes(), &[]) {
                        Ok(()) | Err(Errno::EAGAIN | Errno::EMSGSIZE) => {}
                        Err(_closed) => return,
                    }
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// Notices that the gateway has closed its end.
struct ListenerGone(tokio::net::UnixDatagram);

impl ListenerGone {
    fn new(socket: &OwnedFd) -> std::io::Result<Self> {
        // Readiness is all that is asked of it; no datagram is ever read through it.
        let copy = std::os::unix::net::UnixDatagram::from(socket.try_clone()?);
        copy.set_nonblocking(true)?;
        Ok(Self(tokio::net::UnixDatagram::from_std(copy)?))
    }

    async fn wait(&mut self) {
        let mut ignored = [0; 1024];
        loop {
            match self.0.recv(&mut ignored).await {
                Ok(0) | Err(_) => return, // what a client may say here means nothing
                Ok(_) => {}
            }
        }
    }
}
