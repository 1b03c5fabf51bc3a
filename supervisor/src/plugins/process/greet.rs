//! The first words with a fresh process: hello, describe, and its objects back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hull_plugin::image::ImageSourceClient;
use hull_plugin::instance::InstanceDriverClient;
use hull_plugin::network::NetworkDriverClient;
use hull_plugin::storage::StorageDriverClient;
use hull_plugin::tarpc::client::Config;
use hull_plugin::{
    CONTRACT, Description, DriverError, Handle, HostHello, LifecycleClient, PluginKind, RequestId, StoredHandle,
    connect, context,
};
use tokio_util::task::TaskTracker;

use super::call::longest;
use super::handle::Spec;
use super::sane::sane;
use super::session::{DriverClient, Session};
use super::steady::steady;
use crate::plugins::sandbox::Sockets;

/// A batch of handles must fit a frame of 64 KiB with room to spare; one handle has at most 32 KiB.
const BATCH_BYTES: usize = 48 * 1024;
/// What one handle costs beside its data.
const HANDLE_OVERHEAD: usize = 320;

/// One of its answers on the way to service. Objects are found again by looking at the kernel: seconds, if there are many.
const STEP: Duration = Duration::from_secs(30);

/// Why a process is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GreetError {
    #[error("it does not answer")]
    Silent(#[source] hull_plugin::tarpc::client::RpcError),
    #[error("it speaks contract versions {oldest} to {newest}, hulld {} to {}", CONTRACT.oldest, CONTRACT.newest)]
    Contract { oldest: u32, newest: u32 },
    #[error("it says it is the {kind:?} driver `{name}`")]
    Identity { kind: PluginKind, name: String },
    #[error("its sockets cannot be used")]
    Socket(#[source] std::io::Error),
    #[error("it did not take its objects over")]
    Recover(#[source] DriverError),
    #[error("its pool cannot be opened")]
    Pool(#[source] DriverError),
    #[error("it is not well")]
    Health(#[source] DriverError),
    /// Of the process that is to be replaced.
    #[error("it cannot hand over")]
    HandOver(#[source] DriverError),
    #[error("it did not take charge")]
    TakeCharge(#[source] DriverError),
}

/// A process that has said who it is.
pub(super) struct Greeted {
    pub(super) lifecycle: LifecycleClient,
    pub(super) driver: DriverClient,
    pub(super) description: Arc<Description>,
    /// The contract's version that both speak.
    pub(super) contract: u32,
}

/// Connects to the process and hears who it is. The caller bounds the time.
pub(super) async fn greet(spec: Arc<Spec>, sockets: Sockets, tasks: TaskTracker) -> Result<Greeted, GreetError> {
    let kind = spec.installed.manifest.kind;
    let lifecycle = LifecycleClient::new(Config::default(), connect(sockets.lifecycle).map_err(GreetError::Socket)?);
    tasks.spawn(steady(lifecycle.dispatch));
    let lifecycle = lifecycle.client;
    let driver = connect_driver(kind, sockets.driver, &tasks).map_err(GreetError::Socket)?;

    let request = || context(RequestId(0), super::state::LONGEST_GREETING * 2);
    let hello = HostHello { version: env!("CARGO_PKG_VERSION").into(), contract: CONTRACT };
    let hello = sane(lifecycle.hello(request(), hello)).await.map_err(GreetError::Silent)?;
    let Some(contract) = CONTRACT.settle(hello.contract) else {
        return Err(GreetError::Contract { oldest: hello.contract.oldest, newest: hello.contract.newest });
    };
    let description = sane(lifecycle.describe(request())).await.map_err(GreetError::Silent)?;
    let expected = &spec.installed.manifest.name;
    if hello.kind != kind || &crate::plugins::plugin_name(kind, &description.driver) != expected {
        return Err(GreetError::Identity { kind: hello.kind, name: description.driver });
    }
    Ok(Greeted { lifecycle, driver, description: Arc::new(description), contract })
}

fn connect_driver(
    kind: PluginKind,
    socket: std::os::fd::OwnedFd,
    tasks: &TaskTracker,
) -> std::io::Result<DriverClient> {
    macro_rules! client {
        ($client:ident, $variant:ident) => {{
            let new = $client::new(Config::default(), connect(socket)?);
            tasks.spawn(steady(new.dispatch));
            DriverClient::$variant(new.client)
        }};
    }
    Ok(match kind {
        PluginKind::Storage => client!(StorageDriverClient, Storage),
        PluginKind::Network => client!(NetworkDriverClient, Network),
        PluginKind::Instance => client!(InstanceDriverClient, Instance),
        PluginKind::Image => client!(ImageSourceClient, Image),
    })
}

/// Gives the process the handles of its objects, and tells their owner what became of each. Those in `known` it has already;
/// returns all it has then.
pub(super) async fn recover(
    spec: Arc<Spec>,
    lifecycle: LifecycleClient,
    known: Vec<StoredHandle>,
) -> Result<Vec<StoredHandle>, GreetError> {
    let source = &spec.environment.handles;
    let all = source.handles(&spec.name.plugin, spec.name.pool.as_ref());
    let known: HashMap<&str, &Handle> = known.iter().map(|stored| (stored.object.as_str(), &stored.handle)).collect();
    let new = |stored: &&StoredHandle| known.get(stored.object.as_str()).is_none_or(|known| **known != stored.handle);
    let handles: Vec<StoredHandle> = all.iter().filter(new).cloned().collect();
    let mut outcomes = Vec::with_capacity(handles.len());
    for batch in batches(handles) {
        let request = context(RequestId(0), STEP.min(longest()));
        let answer = sane(lifecycle.recover(request, batch.clone())).await.map_err(GreetError::Silent)?;
        let recovered = answer.map_err(GreetError::Recover)?;
        if recovered.len() != batch.len() {
            let message = format!("it answered for {} of {} objects", recovered.len(), batch.len());
            return Err(GreetError::Recover(DriverError::internal(message)));
        }
        outcomes.extend(batch.into_iter().map(|handle| handle.object).zip(recovered));
    }
    source.recovered(&spec.name.plugin, spec.name.pool.as_ref(), outcomes);
    Ok(all)
}

/// Has it open its pool, and asks it how it is.
pub(super) async fn check(spec: Arc<Spec>, session: Arc<Session>) -> Result<(), GreetError> {
    if let (DriverClient::Storage(client), Some(pool)) = (&session.driver, &spec.name.pool)
        && let Some(config) = spec.environment.handles.pool_config(pool)
    {
        let request = context(RequestId(0), STEP.min(longest()));
        let opened = sane(client.open_pool(request, pool.clone(), config)).await.map_err(GreetError::Silent)?;
        opened.map_err(GreetError::Pool)?;
        session.opened.get_or_init(async || ()).await;
    }
    session.health(Duration::from_secs(5)).await.map_err(GreetError::Health)
}

/// Makes it the process that serves.
pub(super) async fn take_charge(lifecycle: LifecycleClient) -> Result<(), GreetError> {
    let request = context(RequestId(0), STEP.min(longest()));
    sane(lifecycle.take_charge(request)).await.map_err(GreetError::Silent)?.map_err(GreetError::TakeCharge)
}

fn batches(handles: Vec<StoredHandle>) -> Vec<Vec<StoredHandle>> {
    let mut batches: Vec<Vec<StoredHandle>> = Vec::new();
    let mut room = 0;
    for handle in handles {
        let size = handle.handle.data.len() + HANDLE_OVERHEAD;
        match batches.last_mut() {
            Some(batch) if size <= room => {
                room -= size;
                batch.push(handle);
            }
            _ => {
                room = BATCH_BYTES.saturating_sub(size);
                batches.push(vec![handle]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_fit_a_frame_and_lose_nothing() {
        let handle = |index: usize, size| StoredHandle {
            object: format!("c{index}"),
            handle: Handle { version: 1, data: vec![0; size] },
        };
        let handles: Vec<_> = (0..500).map(|index| handle(index, index * 7 % 32_768)).collect();
        let batches = batches(handles.clone());
        for batch in &batches {
            let bytes: usize = batch.iter().map(|handle| handle.handle.data.len() + HANDLE_OVERHEAD).sum();
            assert!(bytes <= BATCH_BYTES && !batch.is_empty());
        }
        let names: Vec<_> = batches.into_iter().flatten().map(|handle| handle.object).collect();
        assert_eq!(names, handles.into_iter().map(|handle| handle.object).collect::<Vec<_>>());
    }
}
