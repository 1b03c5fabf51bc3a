//! Who listens, in the keeper's store: a listener does not notice that the supervisor is another one. What happens while
//! there is none, nobody is told; the next supervisor tells of every operation that goes on.

use std::io;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::keeper::KeeperClient;

const PREFIX: &str = "events/";
/// The longest record.
const LONGEST: u64 = 4096;

/// Keeps hulld's end of a listener's socket; returns under which key, unless that failed.
pub(super) async fn keep(keeper: &KeeperClient, wanted: &[&str], socket: &OwnedFd) -> Option<String> {
    let key = format!("{PREFIX}{:032x}", rand::random::<u128>());
    let stored = async {
        let mut record = std::fs::File::from(memfd_create(c"listener", MFdFlags::MFD_CLOEXEC)?);
        record.write_all(&serde_json::to_vec(wanted)?)?;
        keeper.store_all(&key, &[record.as_fd(), socket.as_fd()]).await
    };
    match stored.await {
        Ok(()) => Some(key),
        Err(error) => {
            tracing::warn!(%error, "a listener for events would not survive a restart of hulld");
            None
        }
    }
}

/// Every listener of earlier supervisors: its key, the kinds it wants, its socket.
pub(super) async fn kept(keeper: &KeeperClient) -> Vec<(String, Vec<String>, OwnedFd)> {
    let mut all = Vec::new();
    for (key, descriptors) in keeper.fetch_below(PREFIX).await.unwrap_or_default() {
        match restored(descriptors) {
            Ok((kinds, socket)) => all.push((key, kinds, socket)),
            Err(error) => {
                tracing::warn!(key, %error, "a listener for events is lost");
                release(keeper, &key).await;
            }
        }
    }
    all
}

pub(super) async fn release(keeper: &KeeperClient, key: &str) {
    if let Err(error) = keeper.discard(key).await {
        tracing::warn!(key, %error, "the keeper keeps a listener that is gone");
    }
}

fn restored(kept: Vec<OwnedFd>) -> io::Result<(Vec<String>, OwnedFd)> {
    let [record, socket] = <[OwnedFd; 2]>::try_from(kept).map_err(|_| io::Error::other("its record is incomplete"))?;
    Ok((serde_json::from_slice(&crate::sys::read_memory(record, LONGEST)?)?, socket))
}
