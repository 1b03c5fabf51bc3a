//! One gateway: a process that outlives the supervisor that started it.
//!
//! It is a child of the keeper, which also keeps what a next supervisor needs of it under `gateway/NUMBER`: its record, its
//! pidfd, the socket by which supervisors attach themselves, and the reading end of its output.

use std::io;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use hull_gateway_contract::{ATTACH, Api, GatewayClient};
use hull_sys::message::{packet_pair, send};
use hull_sys::process;
use hull_wire::RequestId;
use nix::fcntl::OFlag;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tarpc::server::{BaseChannel, Channel};
use tokio_util::task::TaskTracker;

use super::Settings;
use super::answer::Answerer;
use crate::plugins::sandbox::{self, SpawnError, Target};

const PREFIX: &str = "gateway/";
/// The longest record.
const LONGEST: u64 = 64 * 1024;
/// How long answers may take to reach their clients when hulld ends.
const GOODBYE: Duration = Duration::from_secs(1);
/// A gateway that does not even say that it is alive within this time is replaced.
const PATIENCE: Duration = Duration::from_secs(5);

/// A gateway that this supervisor is attached to.
pub(crate) struct Gateway {
    /// Names it in the keeper's store and in the table of connections.
    pub(super) number: u32,
    pub(super) client: GatewayClient,
    pub(super) program: PathBuf,
    pid: i32,
    process: OwnedFd,
    attachments: OwnedFd,
    output: OwnedFd,
    retiring: AtomicBool,
}

#[derive(Serialize, Deserialize)]
struct Record {
    pid: i32,
    program: PathBuf,
    retiring: bool,
}

/// What an attached supervisor serves, and where its tasks belong.
pub(super) struct Surroundings<'a> {
    pub(super) settings: &'a Settings,
    pub(super) answerer: &'a Answerer,
    pub(super) tasks: &'a TaskTracker,
}

impl Gateway {
    /// Starts `program` as the gateway `number`.
    pub(super) async fn start(number: u32, program: PathBuf, around: &Surroundings<'_>) -> Result<Self, SpawnError> {
        let settings = around.settings;
        let plan = sandbox::gateway_plan(&settings.hull_dir, &settings.cgroups, &program)?;
        let (attachments, theirs) = packet_pair()?;
        let (output, their_output) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let theirs = [theirs.as_fd()];
        let mut child =
            sandbox::spawn(&settings.executable, &plan, &theirs, their_output.as_fd(), Target::Keeper).await?;
        child.take_refusals().map(|refusals| around.tasks.spawn(refusals.follow()));
        let process = child.process().try_clone_to_owned()?;
        let record = Record { pid: child.pid(), program, retiring: false };
        let gateway = Self::attach(number, record, [process, attachments, output], around)?;
        if let Err(error) = gateway.remember(settings).await {
            gateway.kill(); // nobody would find it again
            return Err(error.into());
        }
        tracing::info!(gateway = number, pid = gateway.pid, program = %gateway.program.display(), "gateway started");
        Ok(gateway)
    }

    /// All that earlier supervisors started and that still run.
    pub(super) async fn adopt_all(around: &Surroundings<'_>) -> io::Result<Vec<Self>> {
        let mut adopted = Vec::new();
        for key in around.settings.keeper.list(PREFIX).await? {
            let Some(number) = key.strip_prefix(PREFIX).and_then(|number| number.parse().ok()) else { continue };
            match Self::adopt(number, &key, around).await {
                Ok(gateway) => adopted.push(gateway),
                Err(error) => {
                    tracing::warn!(gateway = number, %error, "a gateway cannot be taken over");
                    around.answerer.connections.all_closed(number);
                    around.settings.keeper.discard(&key).await?;
                }
            }
        }
        Ok(adopted)
    }

    async fn adopt(number: u32, key: &str, around: &Surroundings<'_>) -> io::Result<Self> {
        let kept = around.settings.keeper.fetch_all(key).await?;
        let [record, process, attachments, output] =
            <[OwnedFd; 4]>::try_from(kept).map_err(|_| io::Error::other("its record is incomplete"))?;
        let record: Record = serde_json::from_slice(&crate::sys::read_memory(record, LONGEST)?)?;
        let attached = Self::attach(number, record, [process.try_clone()?, attachments, output], around);
        if attached.is_err() {
            let _ = process::signal(&process, Some(Signal::SIGKILL)); // it may have ended already
        }
        attached
    }

    /// Hands it the channels of this supervisor.
    fn attach(
        number: u32,
        record: Record,
        [process, attachments, output]: [OwnedFd; 3],
        around: &Surroundings<'_>,
    ) -> io::Result<Self> {
        let (ours, their_gateway) = packet_pair()?;
        let (api, their_api) = packet_pair()?;
        send(attachments.as_fd(), ATTACH, &[their_gateway, their_api])?;
        let calls = BaseChannel::with_defaults(hull_wire::accept(api)?).execute(around.answerer.clone().serve());
        let serving = around.tasks.clone();
        around.tasks.spawn(async move {
            let mut calls = std::pin::pin!(calls);
            while let Some(call) = calls.next().await {
                serving.spawn(call);
            }
        });
        let client = GatewayClient::new(tarpc::client::Config::default(), hull_wire::connect(ours)?);
        around.tasks.spawn(async move {
            if let Err(error) = client.dispatch.await {
                tracing::debug!(%error, "a gateway's channel has ended");
            }
        });
        around.tasks.spawn(log(output.try_clone()?));
        let Record { pid, program, retiring } = record;
        let retiring = AtomicBool::new(retiring);
        Ok(Self { number, client: client.client, program, pid, process, attachments, output, retiring })
    }

    pub(super) fn is_retiring(&self) -> bool {
        self.retiring.load(Ordering::Relaxed)
    }

    /// Resolves when the process has ended, and says how if anybody knows.
    pub(super) async fn ended(&self, settings: &Settings) -> Option<i32> {
        settings.keeper.wait(&self.process).await.ok().flatten()
    }

    pub(super) async fn is_well(&self) -> bool {
        let context = hull_wire::context(RequestId(rand::random()), PATIENCE);
        matches!(self.client.health(context).await, Ok(true))
    }

    pub(super) fn kill(&self) {
        let _ = process::signal(&self.process, Some(Signal::SIGKILL)); // one that has ended is what was wanted
    }

    /// Lets it finish the answers it is sending, among them the one to who asked hulld to end.
    pub(super) async fn end(&self) {
        let drained = self.client.drain(hull_wire::context(RequestId(rand::random()), GOODBYE)).await;
        if let Err(error) = drained {
            tracing::debug!(%error, "the gateway still had connections");
        }
        self.kill();
        let _ = tokio::time::timeout(GOODBYE, crate::keeper::ended(&self.process)).await;
    }

    /// Lets it go with its connections.
    pub(super) async fn retire(&self, settings: &Settings) -> io::Result<()> {
        self.retiring.store(true, Ordering::Relaxed);
        self.remember(settings).await?;
        let context = hull_wire::context(RequestId(rand::random()), PATIENCE);
        self.client.retire(context).await.map_err(io::Error::other)
    }

    pub(super) async fn forget(&self, settings: &Settings) -> io::Result<()> {
        settings.keeper.discard(&format!("{PREFIX}{}", self.number)).await
    }

    async fn remember(&self, settings: &Settings) -> io::Result<()> {
        let record = Record { pid: self.pid, program: self.program.clone(), retiring: self.is_retiring() };
        let mut memory = std::fs::File::from(memfd_create(c"gateway", MFdFlags::MFD_CLOEXEC)?);
        memory.write_all(&serde_json::to_vec(&record)?)?;
        let kept = [memory.as_fd(), self.process.as_fd(), self.attachments.as_fd(), self.output.as_fd()];
        settings.keeper.store_all(&format!("{PREFIX}{}", self.number), &kept).await
    }
}

/// The gateway's program beside hulld's own.
pub(super) fn program_beside(executable: &Path) -> PathBuf {
    executable.with_file_name("hull-gateway")
}

/// What the gateway says goes into hulld's log.
async fn log(output: OwnedFd) {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let Ok(receiver) = tokio::net::unix::pipe::Receiver::from_owned_fd(output) else { return };
    let mut lines = BufReader::new(receiver).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::info!(plugin = "gateway", "{line}");
    }
}
