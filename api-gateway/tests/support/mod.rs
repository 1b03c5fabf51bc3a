//! The real gateway process before a hulld that answers from a table.
#![allow(dead_code)] // each test file uses a part

mod api;
mod http;

use std::cell::RefCell;
use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use hull_gateway_contract::{ATTACH, Api, GatewayClient, Token};
use hull_sys::message::{packet_pair, send};
use hull_wire::{RequestId, context};
use nix::fcntl::FcntlArg;
use tarpc::server::{BaseChannel, Channel};
use tokio::sync::Notify;

#[allow(unused_imports)] // each test file uses a part
pub(crate) use api::{Answers, checksum, pattern};
#[allow(unused_imports)] // each test file uses a part
pub(crate) use http::{Client, Reply, request};

/// A gateway and its hulld.
pub(crate) struct Rig {
    pub(crate) child: Child,
    pub(crate) gateway: GatewayClient,
    pub(crate) seen: Rc<Seen>,
    attachments: Option<OwnedFd>,
    api: tokio::task::JoinHandle<()>,
    next: u128,
}

/// What the gateway told hulld.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) closed: RefCell<HashSet<Token>>,
    pub(crate) waiting: RefCell<u32>,
    pub(crate) cancelled: RefCell<u32>,
    /// Reports of a token that was closed already.
    pub(crate) repeated: RefCell<u32>,
    pub(crate) held: RefCell<Vec<OwnedFd>>,
    pub(crate) changed: Notify,
}

impl Rig {
    /// Must be called inside a `LocalSet`.
    pub(crate) fn start() -> Self {
        let (attachments, theirs) = packet_pair().unwrap();
        let child = spawn(theirs);
        let seen = Rc::new(Seen::default());
        let (gateway, api) = attach(&attachments, &seen);
        Self { child, gateway, seen, attachments: Some(attachments), api, next: 1 }
    }

    /// Another hulld takes over.
    pub(crate) fn attach(&mut self) {
        (self.gateway, self.api) = attach(self.attachments.as_ref().unwrap(), &self.seen);
    }

    /// The keeper goes away, too: no hulld will come any more.
    pub(crate) fn lose_keeper(&mut self) {
        self.attachments = None;
    }

    /// Waits until the gateway serves.
    pub(crate) async fn ready(&self) {
        assert!(self.gateway.health(context(RequestId(0), Duration::from_secs(10))).await.unwrap());
    }

    /// A client's end of a new connection, and its token.
    pub(crate) async fn connect(&mut self) -> (UnixStream, Token) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let token = Token(self.next);
        self.next += 1;
        let theirs = OwnedFd::from(theirs).into();
        self.gateway.connection(context(RequestId(0), Duration::from_secs(5)), theirs, token).await.unwrap();
        (ours, token)
    }

    /// An HTTP client on a new connection.
    pub(crate) async fn client(&mut self) -> Client {
        Client::new(self.connect().await.0)
    }

    pub(crate) async fn wait_closed(&self, token: Token) {
        self.until(|seen| seen.closed.borrow().contains(&token)).await;
    }

    pub(crate) async fn until(&self, condition: impl Fn(&Seen) -> bool) {
        let wait = async {
            while !condition(&self.seen) {
                self.seen.changed.notified().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the gateway reports in time");
    }

    pub(crate) fn open_descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// hulld's end of the `Api` channel goes away.
    pub(crate) async fn lose_api(&mut self) {
        self.api.abort();
        let _ = (&mut self.api).await;
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A hulld's two channels, and its task that answers.
fn attach(attachments: &OwnedFd, seen: &Rc<Seen>) -> (GatewayClient, tokio::task::JoinHandle<()>) {
    let (our_gateway, their_gateway) = packet_pair().unwrap();
    let (our_api, their_api) = packet_pair().unwrap();
    send(attachments.as_fd(), ATTACH, &[their_gateway, their_api]).unwrap();
    let client = GatewayClient::new(Default::default(), hull_wire::connect(our_gateway).unwrap());
    tokio::task::spawn_local(client.dispatch);
    let answers = Answers { seen: seen.clone() };
    let transport = hull_wire::accept(our_api).unwrap();
    let api = tokio::task::spawn_local(async move {
        let mut requests = std::pin::pin!(BaseChannel::with_defaults(transport).execute(answers.serve()));
        while let Some(request) = requests.next().await {
            tokio::task::spawn_local(request);
        }
    });
    (client.client, api)
}

/// Starts the program as hulld does: its socket as descriptor 3, nothing else.
fn spawn(attachments: OwnedFd) -> Child {
    let high = nix::fcntl::fcntl(&attachments, FcntlArg::F_DUPFD(20)).unwrap();
    drop(attachments);
    let program = env!("CARGO_BIN_EXE_hull-gateway");
    let script = format!("exec '{program}' 3<&{high} {high}<&-");
    let child = Command::new("bash").arg("-c").arg(script).stdin(Stdio::null()).spawn().unwrap();
    nix::unistd::close(high).unwrap();
    child
}

/// Runs a test on one thread, as hulld's side runs.
pub(crate) fn run<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(Duration::from_secs(120), test()).await.expect("the test ends in time");
    });
    runtime.shutdown_background();
}

/// Runs a blocking client beside the fake hulld.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}
