//! One connection from its first byte to its last.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use hull_gateway_contract::Token;
use tokio::time::Instant;

use crate::connection::Inbox;
use crate::connection::exchange::exchange;
use crate::connection::head::{self, Head, MAX_HEAD, Persistence};
use crate::connection::patience::Patience;
use crate::connection::reply::{self, Manner};
use crate::descriptor::Descriptor;
use crate::failure::Refusal;
use crate::hub::Hub;

/// How long a client that was refused may go on sending before the connection is cut.
const LINGER: Duration = Duration::from_secs(2);
/// How much a socket may hold unread when it is cut; a Unix socket holds less.
const MOST_UNREAD: usize = 1024 * 1024;
/// How long an idle connection of a retired gateway is kept. Closing one races with a request on its way, so it is better
/// closed with an answer; but a client that never speaks must not keep a process alive for ever.
const IDLE_AFTER_RETIREMENT: Duration = Duration::from_secs(5 * 60);
/// How much of the first request is read at once.
const FIRST_READ: usize = 8 * 1024;

/// What one client and its requests share.
pub(crate) struct Connection {
    pub(crate) hub: Rc<Hub>,
    pub(crate) token: Token,
    pub(crate) socket: Descriptor,
    pub(crate) inbox: Inbox,
    pub(crate) standing: Standing,
    pub(crate) patience: Patience,
}

/// Whether hulld knows that the connection is over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Valid,
    ReportedClosed,
}

/// Speaks HTTP on `socket` until it ends, then tells hulld.
pub(crate) async fn serve(hub: Rc<Hub>, socket: OwnedFd, token: Token) {
    let mut standing = Standing::Valid;
    match Descriptor::client(socket) {
        Ok(socket) => {
            let (hub, inbox, patience) = (hub.clone(), Inbox::default(), Patience::default());
            let mut connection = Connection { hub, token, socket, inbox, standing, patience };
            if let Err(error) = connection.run().await {
                tracing::debug!(%error, "a connection broke");
            }
            standing = connection.standing;
        }
        Err(error) => tracing::warn!(%error, "cannot watch a connection"),
    }
    if standing == Standing::Valid {
        hub.closed(token).await;
    }
}

async fn retired_and_idle(hub: &Hub) {
    hub.retiring.cancelled().await;
    tokio::time::sleep(IDLE_AFTER_RETIREMENT).await;
}

impl Connection {
    pub(crate) async fn run(&mut self) -> io::Result<()> {
        while let Some(head) = self.next_head().await? {
            if exchange(self, head).await? == Persistence::Close || self.hub.draining.is_cancelled() {
                break;
            }
        }
        Ok(())
    }

    /// `None`: there will be no further request.
    async fn next_head(&mut self) -> io::Result<Option<Head>> {
        let mut deadline = Instant::now() + self.patience.idle;
        let mut begun = false;
        loop {
            if !self.inbox.is_empty() {
                if !begun {
                    (begun, deadline) = (true, Instant::now() + self.patience.head);
                }
                match head::parse(self.inbox.filled()) {
                    Ok(Some((head, length))) => {
                        self.inbox.consume(length);
                        return Ok(Some(head));
                    }
                    Ok(None) => {}
                    Err(refusal) => return self.refuse(refusal, Manner::last()).await.map(|_| None),
                }
            }
            self.inbox.release();
            let capacity = if self.inbox.filled().len() < FIRST_READ { FIRST_READ } else { MAX_HEAD };
            let received = tokio::select! {
                biased; // a busy client needs no timer
                received = self.inbox.receive(&self.socket, capacity) => received?,
                () = self.hub.draining.cancelled() => 0,
                () = retired_and_idle(&self.hub) => 0,
                () = tokio::time::sleep_until(deadline) => {
                    if begun {
                        return self.refuse(self.patience.with_head(), Manner::last()).await.map(|_| None);
                    }
                    0
                }
            };
            if received == 0 {
                return Ok(None);
            }
        }
    }

    /// Answers with an error of the gateway's own, and ends the connection: what follows in it means nothing certain.
    pub(crate) async fn refuse(&mut self, refusal: Refusal, manner: Manner) -> io::Result<Persistence> {
        tracing::debug!(status = refusal.status, reason = %refusal, "refused");
        let reply = refusal.into_reply();
        reply::write(&self.socket, manner.closing(), reply.status, &reply.headers, reply.body).await?;
        self.linger().await;
        Ok(Persistence::Close)
    }

    /// Lets the client read its answer: closing at once would cut it off while it still sends.
    pub(crate) async fn linger(&mut self) {
        self.socket.finish();
        let rest = async {
            self.inbox.consume(self.inbox.filled().len());
            while self.inbox.receive(&self.socket, FIRST_READ).await.is_ok_and(|received| received > 0) {
                self.inbox.consume(self.inbox.filled().len());
            }
        };
        if tokio::time::timeout(LINGER, rest).await.is_err() {
            self.cut_off();
        }
    }

    /// Ends what still arrives, and takes what has: with bytes unread a close is a reset, which may cost the client its
    /// answer.
    pub(super) fn cut_off(&self) {
        self.socket.refuse_more();
        let mut scrap = [0; FIRST_READ];
        for _ in 0..MOST_UNREAD / FIRST_READ {
            if !matches!(nix::unistd::read(&self.socket, &mut scrap), Ok(length) if length > 0) {
                break;
            }
        }
    }
}
