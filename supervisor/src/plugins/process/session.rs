//! The connection to one running plugin process.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hull_plugin::image::ImageSourceClient;
use hull_plugin::instance::InstanceDriverClient;
use hull_plugin::network::NetworkDriverClient;
use hull_plugin::storage::StorageDriverClient;
use hull_plugin::tarpc::client::RpcError;
use hull_plugin::{Code, Description, DriverError, Health, LifecycleClient, RequestId, context};
use tokio::sync::{Notify, OnceCell};
use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::sane::sane;
use crate::plugins::sandbox::Slot;

/// The client of the contract that the plugin's kind speaks.
pub(crate) enum DriverClient {
    Storage(StorageDriverClient),
    Network(NetworkDriverClient),
    Instance(InstanceDriverClient),
    Image(ImageSourceClient),
}

/// A process that has greeted.
pub(crate) struct Session {
    pub(crate) generation: u64,
    pub(crate) pid: i32,
    /// Which control group it has.
    pub(crate) slot: Slot,
    pub(crate) description: Arc<Description>,
    /// The contract's version that both speak.
    pub(crate) contract: u32,
    pub(crate) lifecycle: LifecycleClient,
    pub(crate) driver: DriverClient,
    /// Cancelled when the process is gone.
    pub(crate) gone: CancellationToken,
    /// Whether the pool has been opened in this process (storage drivers).
    pub(crate) opened: OnceCell<()>,
    pub(crate) heartbeat: Arc<Heartbeat>,
    pub(crate) output: Output,
    pub(crate) calls: Calls,
    /// How many calls in a row had no answer in time.
    pub(super) ignored: AtomicU32,
    /// Cancelled when it is to be ended although calls run in it.
    pub(super) condemned: CancellationToken,
}

/// The calls that run in a process, so that none is cut when the process is replaced.
pub(crate) struct Calls {
    running: Mutex<Running>,
    changed: Notify,
}

struct Running {
    count: usize,
    closed: bool,
    /// When the last one ended.
    last: Instant,
}

impl Default for Calls {
    fn default() -> Self {
        let running = Running { count: 0, closed: false, last: Instant::now() };
        Self { running: Mutex::new(running), changed: Notify::new() }
    }
}

/// A call that runs, until it is dropped.
pub(crate) struct Counted<'a>(&'a Calls);

/// When the process last showed progress.
pub(crate) struct Heartbeat {
    origin: Instant,
    last: AtomicU64,
}

macro_rules! clients {
    ($($name:ident, $kind:ident, $client:ident;)*) => {$(
        pub(crate) fn $name(&self) -> Result<&$client, RpcError> {
            match &self.driver {
                DriverClient::$kind(client) => Ok(client),
                _ => Err(RpcError::Shutdown), // handles are made by kind: not reached
            }
        }
    )*};
}

impl Session {
    clients! {
        storage, Storage, StorageDriverClient;
        network, Network, NetworkDriverClient;
        instance, Instance, InstanceDriverClient;
        image, Image, ImageSourceClient;
    }

    pub(super) fn answered(&self) {
        self.ignored.store(0, Ordering::Relaxed);
    }

    /// How many there are now in a row.
    pub(super) fn unanswered(&self) -> u32 {
        self.ignored.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Asks the plugin how it is, for at most `patience`.
    pub(crate) async fn health(&self, patience: Duration) -> Result<(), DriverError> {
        let answer = sane(self.lifecycle.health(context(RequestId(0), patience)));
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(Health::Ready)) => Ok(()),
            Ok(Ok(Health::Unhealthy { why })) => {
                Err(DriverError::new(Code::Unavailable, "it says it is not well").because(why))
            }
            Ok(Err(error)) => Err(DriverError::new(Code::Unavailable, "it does not answer").because(error)),
            Err(_elapsed) => {
                Err(DriverError::new(Code::DeadlineExceeded, format!("it gave no sign of life for {patience:?}")))
            }
        }
    }
}

impl Calls {
    /// `None`: the process takes no more calls, another does.
    pub(super) fn enter(&self) -> Option<Counted<'_>> {
        let mut running = self.lock();
        if running.closed {
            return None;
        }
        running.count += 1;
        Some(Counted(self))
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().count
    }

    /// Waits until none has run for so long.
    pub(super) async fn quiet_for(&self, time: Duration) {
        loop {
            let left = {
                let running = self.lock();
                if running.count > 0 { time } else { time.saturating_sub(running.last.elapsed()) }
            };
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }

    /// As if a call had ended now.
    pub(super) fn touch(&self) {
        self.lock().last = Instant::now();
    }

    /// Lets no more calls in and waits until those that run have ended.
    pub(super) async fn ended(&self) {
        loop {
            let changed = self.changed.notified();
            {
                let mut running = self.lock();
                running.closed = true;
                if running.count == 0 {
                    return;
                }
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        {
            let mut running = self.0.lock();
            running.count -= 1;
            running.last = Instant::now();
        }
        self.0.changed.notify_one();
    }
}

impl Heartbeat {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now(), last: AtomicU64::new(0) }
    }

    pub(crate) fn beat(&self) {
        let now = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    pub(crate) fn silent_for(&self) -> Duration {
        self.origin.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn quiet_is_a_while_after_the_last_call() {
        let (calls, short) = (Calls::default(), Duration::from_millis(20));
        let running = calls.enter().unwrap();
        assert!(tokio::time::timeout(4 * short, calls.quiet_for(short)).await.is_err(), "one runs");
        drop(running);
        assert!(tokio::time::timeout(short, calls.quiet_for(600 * short)).await.is_err(), "it has just ended");
        calls.quiet_for(short).await;
    }

    #[tokio::test]
    async fn a_replaced_process_ends_after_its_last_call_and_takes_no_other() {
        let calls = Arc::new(Calls::default());
        let (first, second) = (calls.enter().unwrap(), calls.enter().unwrap());
        let waiting = calls.clone();
        let ended = tokio::spawn(async move { waiting.ended().await });
        drop(first);
        tokio::task::yield_now().await;
        assert!(!ended.is_finished() && calls.count() == 1);
        assert!(calls.enter().is_none());
        drop(second);
        ended.await.unwrap();
    }
}
