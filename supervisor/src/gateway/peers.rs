//! Who is at the other end of each open connection, by token.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use hull_gateway_contract::Token;

/// Whoever opened a connection, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub user: u32,
    pub group: u32,
    pub process: i32,
}

/// The connections the current gateway has, and those that still wait for one.
#[derive(Clone, Default)]
pub(super) struct Peers(Arc<Mutex<HashMap<Token, Peer>>>);

/// A connection on its way to the gateway.
pub(super) struct Connection {
    pub(super) socket: OwnedFd,
    pub(super) token: Token,
}

impl Peers {
    pub(super) fn admit(&self, socket: OwnedFd, peer: Peer) -> Connection {
        let token = Token(rand::random());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(token, peer);
        Connection { socket, token }
    }

    pub(super) fn of(&self, token: Token) -> Option<Peer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&token).copied()
    }

    pub(super) fn forget(&self, token: Token) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&token);
    }
}
