//! What a next supervisor needs to go on with an operation, in the keeper's store.
//!
//! ```text
//! operation/ID         record (JSON in memory), then the descriptors of the part ""
//! operation/ID/PART    descriptors of other parts, among them each websocket that waits for its client, by its secret
//! ```
//! Nothing here is durable, and need not be: it lives as long as the descriptors do. A part that fails to be stored costs
//! the operation its next life, not this one.

use std::collections::HashMap;
use std::io;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use chrono::{DateTime, Utc};
use hull_gateway_contract::Upgrade;
use hull_plugin::{OperationId, ProcessFd, SocketFd, StreamFd};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::registry::{Now, Spec};
use crate::api::ApiError;
use crate::keeper::KeeperClient;

const PREFIX: &str = "operation/";
/// The longest record.
const LONGEST: u64 = 1 << 20;

/// The work of an operation in a form that a next supervisor understands.
pub(crate) struct Lasting {
    /// `{"kind": …}` and what else its noun wants to know.
    pub(crate) work: Value,
    /// The descriptors by part; the part `""` lasts as long as the operation, others until they are released.
    pub(crate) parts: Vec<(String, Vec<OwnedFd>)>,
}

/// What an earlier supervisor has left of an operation.
pub(crate) struct Kept {
    pub(super) id: OperationId,
    pub(super) record: Record,
    pub(super) ends: Vec<(String, Upgrade)>,
    pub(crate) work: Value,
    /// The descriptors of the part `""`.
    pub(crate) descriptors: Vec<OwnedFd>,
    parts: Parts,
}

type Parts = HashMap<String, Vec<OwnedFd>>;

impl Kept {
    /// The descriptors of another part; none if it was released.
    pub(crate) fn part(&mut self, part: &str) -> Vec<OwnedFd> {
        self.parts.remove(part).unwrap_or_default()
    }

    pub(crate) fn id(&self) -> &OperationId {
        &self.id
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) spec: Spec,
    pub(super) created_at: DateTime<Utc>,
    pub(super) now: Now,
    pub(super) work: Option<Value>,
    pub(super) ends: Vec<EndRecord>,
}

/// A websocket that waits for its client.
#[derive(Serialize, Deserialize)]
pub(super) struct EndRecord {
    secret: String,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Shape {
    Output,
    Input,
    Both,
    Terminal,
    Messages,
    /// Of a kind that does not last.
    Other,
}

pub(super) fn end_record(secret: &str, end: &Upgrade) -> EndRecord {
    let shape = match end {
        Upgrade::Stream { output: Some(_), input: Some(_) } => Shape::Both,
        Upgrade::Stream { output: Some(_), input: None } => Shape::Output,
        Upgrade::Stream { output: None, input: Some(_) } => Shape::Input,
        Upgrade::Terminal { .. } => Shape::Terminal,
        Upgrade::Messages(_) => Shape::Messages,
        Upgrade::Stream { output: None, input: None } | Upgrade::Raw { .. } => Shape::Other,
    };
    EndRecord { secret: secret.to_owned(), shape }
}

/// Copies of the descriptors of a websocket, in the order in which [`restored`] wants them.
pub(super) fn descriptors(end: &Upgrade) -> Result<Vec<OwnedFd>, ApiError> {
    let borrowed: Vec<BorrowedFd> = match end {
        Upgrade::Stream { output, input } => [output, input].into_iter().flatten().map(AsFd::as_fd).collect(),
        Upgrade::Terminal { terminal, process } => vec![terminal.as_fd(), process.as_fd()],
        Upgrade::Messages(socket) => vec![socket.as_fd()],
        Upgrade::Raw { stream, .. } => vec![stream.as_fd()],
    };
    let copies = borrowed.iter().map(BorrowedFd::try_clone_to_owned).collect::<io::Result<_>>();
    copies.map_err(|error| ApiError::internal(format!("cannot duplicate a descriptor: {error}")))
}

fn restored(shape: Shape, descriptors: Vec<OwnedFd>) -> Option<Upgrade> {
    let mut descriptors = descriptors.into_iter();
    let mut stream = || descriptors.next().map(StreamFd::new);
    let upgrade = match shape {
        Shape::Output => Upgrade::Stream { output: Some(stream()?), input: None },
        Shape::Input => Upgrade::Stream { output: None, input: Some(stream()?) },
        Shape::Both => Upgrade::Stream { output: Some(stream()?), input: Some(stream()?) },
        Shape::Terminal => Upgrade::Terminal { terminal: stream()?, process: ProcessFd::new(descriptors.next()?) },
        Shape::Messages => Upgrade::Messages(SocketFd::new(descriptors.next()?)),
        Shape::Other => return None,
    };
    Some(upgrade)
}

/// Keeps the record with the part `""`, and the other parts.
pub(super) async fn store(keeper: &KeeperClient, id: &OperationId, record: &Record, parts: &[(String, Vec<OwnedFd>)]) {
    let alone = [(String::new(), Vec::new())];
    let record_only = if parts.iter().any(|(part, _)| part.is_empty()) { &alone[..0] } else { &alone[..] };
    let stored = futures::future::join_all(
        record_only.iter().chain(parts).map(|(part, descriptors)| store_part(keeper, id, record, part, descriptors)),
    )
    .await;
    if let Some(error) = stored.into_iter().find_map(Result::err) {
        tracing::warn!(operation = %id, %error, "an operation would not survive a restart of hulld");
    }
}

async fn store_part(
    keeper: &KeeperClient,
    id: &OperationId,
    record: &Record,
    part: &str,
    descriptors: &[OwnedFd],
) -> io::Result<()> {
    let memory = part.is_empty().then(|| written(record)).transpose()?;
    let all: Vec<BorrowedFd> = memory.iter().chain(descriptors).map(AsFd::as_fd).collect();
    if all.is_empty() { Ok(()) } else { keeper.store_all(&key(id, part), &all).await }
}

/// What is kept under a part is not needed any more.
pub(super) async fn release(keeper: &KeeperClient, id: &OperationId, part: &str) {
    if let Err(error) = keeper.discard(&key(id, part)).await {
        tracing::warn!(operation = %id, part, %error, "the keeper keeps a part of an operation");
    }
}

/// All operations that earlier supervisors have left.
pub(super) async fn load(keeper: &KeeperClient) -> Vec<Kept> {
    let kept = keeper.fetch_below(PREFIX).await.unwrap_or_else(|error| {
        tracing::error!(%error, "the keeper does not give back the operations that go on");
        Vec::new()
    });
    let mut by_id: HashMap<String, Parts> = HashMap::new();
    for (key, descriptors) in kept {
        let (id, part) = key[PREFIX.len()..].split_once('/').unwrap_or((&key[PREFIX.len()..], ""));
        by_id.entry(id.to_owned()).or_default().insert(part.to_owned(), descriptors);
    }
    let mut all = Vec::new();
    for (id, parts) in by_id {
        let Ok(id) = OperationId::new(id) else { continue };
        if !parts.contains_key("") {
            continue; // it has ended; what is left is being released
        }
        match restore(id.clone(), parts) {
            Some(kept) => all.push(kept),
            None => {
                tracing::warn!(operation = %id, "what is kept of an operation is damaged");
                let _ = keeper.discard(&key(&id, "")).await; // then it is seen again at the next start
            }
        }
    }
    all
}

fn restore(id: OperationId, mut parts: Parts) -> Option<Kept> {
    let mut descriptors = parts.remove("")?.into_iter();
    let record = crate::sys::read_memory(descriptors.next()?, LONGEST).ok()?;
    let mut record: Record = serde_json::from_slice(&record).ok()?;
    let mut ends = Vec::new();
    for EndRecord { secret, shape } in std::mem::take(&mut record.ends) {
        if let Some(end) = restored(shape, parts.remove(&secret).unwrap_or_default()) {
            ends.push((secret, end));
        }
    }
    let work = record.work.take().unwrap_or_default();
    Some(Kept { id, record, ends, work, descriptors: descriptors.collect(), parts })
}

fn key(id: &OperationId, part: &str) -> String {
    if part.is_empty() { format!("{PREFIX}{id}") } else { format!("{PREFIX}{id}/{part}") }
}

fn written(record: &Record) -> io::Result<OwnedFd> {
    let mut memory = std::fs::File::from(memfd_create(c"operation", MFdFlags::MFD_CLOEXEC)?);
    memory.write_all(&serde_json::to_vec(record)?)?;
    Ok(memory.into())
}
