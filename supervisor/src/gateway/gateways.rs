//! All gateways: the current one, which gets the new connections, and retired ones that see theirs through.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use hull_wire::RequestId;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Settings;
use super::accept::accept;
use super::answer::Answerer;
use super::process::{Gateway, Surroundings, program_beside};
use super::table::Connections;
use crate::plugins::chain;

/// The shortest life that counts as one: a gateway that ends sooner is started again only after a pause.
const SHORT_LIFE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(250);
/// How often a gateway is asked whether it is well, and how often in a row it may be silent.
const LOOK: Duration = Duration::from_secs(5);
const SILENT: u32 = 2;
/// What a gateway of an earlier hulld has to end.
const DYING: Duration = Duration::from_secs(2);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gateways(Arc<Inner>);

struct Inner {
    settings: Settings,
    answerer: Answerer,
    all: Mutex<Vec<Arc<Gateway>>>,
    current: watch::Sender<Option<Arc<Gateway>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    accepting: Mutex<Option<(CancellationToken, tokio::task::JoinHandle<()>)>>,
    listener: std::os::unix::net::UnixListener,
    /// One replacement at a time.
    replacing: tokio::sync::Mutex<()>,
}

impl Gateways {
    /// Attaches to what earlier supervisors left, and serves from now on.
    pub(crate) async fn open(
        settings: Settings,
        listener: std::os::unix::net::UnixListener,
        router: Router,
        stop: CancellationToken,
    ) -> std::io::Result<Self> {
        let connections = Connections::load(&settings.keeper).await?;
        let answerer = Answerer::new(router, connections);
        let gateways = Self(Arc::new(Inner {
            settings,
            answerer,
            all: Mutex::default(),
            current: watch::Sender::new(None),
            tasks: TaskTracker::new(),
            stop,
            accepting: Mutex::default(),
            listener,
            replacing: tokio::sync::Mutex::default(),
        }));
        let adopted = Gateway::adopt_all(&gateways.surroundings()).await?;
        if adopted.is_empty() {
            // Those of a keeper that is gone end by themselves; one that hangs would be in the way.
            let group = gateways.0.settings.cgroups.plugin("gateway");
            if let Err(error) = group.kill_all(DYING).await {
                tracing::warn!(error = chain(&error), "a gateway of an earlier hulld does not end");
            }
        }
        for gateway in adopted {
            tracing::info!(gateway = gateway.number, "gateway taken over");
            let gateway = gateways.enlist(gateway);
            gateways.0.tasks.spawn(gateways.clone().check(gateway));
        }
        gateways.accept_again()?;
        Ok(gateways)
    }

    /// Keeps a gateway running until told to stop, then ends them all.
    pub(crate) async fn serve(self) {
        let inner = &self.0;
        while !inner.stop.is_cancelled() {
            let mut current = inner.current.subscribe();
            tokio::select! {
                _ = current.wait_for(Option::is_none) => {}
                () = inner.stop.cancelled() => break,
            }
            let started = Instant::now();
            if let Err(error) = self.start_another().await {
                tracing::error!(error = chain(&error), "cannot start the gateway");
            }
            let short = async {
                let _ = current.wait_for(Option::is_none).await;
                started.elapsed() < SHORT_LIFE
            };
            tokio::select! {
                short = short => if short {
                    tokio::time::sleep(PAUSE).await;
                },
                () = inner.stop.cancelled() => break,
            }
        }
        self.stop_accepting().await;
        let all = self.all();
        futures::future::join_all(all.iter().map(|gateway| gateway.end())).await;
        inner.tasks.close();
        let _ = tokio::time::timeout(DYING, inner.tasks.wait()).await;
    }

    /// Starts the program that is beside `executable` now, gives it the new connections, and retires those before it.
    pub(crate) async fn replace(
        &self,
        executable: &std::path::Path,
    ) -> Result<(), crate::plugins::sandbox::SpawnError> {
        let _replacing = self.0.replacing.lock().await;
        let gateway = self.start(program_beside(executable)).await?;
        if !gateway.is_well().await {
            gateway.kill();
            gateway.forget(&self.0.settings).await?;
            return Err(std::io::Error::other("the new gateway does not answer").into());
        }
        let former = self.0.current.borrow().clone();
        self.enlist(gateway);
        if let Some(former) = former
            && let Err(error) = former.retire(&self.0.settings).await
        {
            tracing::warn!(gateway = former.number, %error, "a replaced gateway does not retire; ending it");
            former.kill();
        }
        Ok(())
    }

    /// The changes that have not been answered yet: `POST /1.0/instances`.
    pub(crate) fn busy(&self) -> Vec<String> {
        self.0.answerer.busy()
    }

    /// The program of the current gateway.
    pub(crate) fn program(&self) -> Option<std::path::PathBuf> {
        self.0.current.borrow().as_ref().map(|gateway| gateway.program.clone())
    }

    /// Returns when no call is under way and none will come until [`Gateways::release`] or the next supervisor.
    ///
    /// # Errors
    /// Calls are still under way after `patience`; they have been released.
    pub(crate) async fn hold(&self, patience: Duration) -> Result<(), Vec<String>> {
        self.stop_accepting().await;
        let context = || hull_wire::context(RequestId(rand::random()), patience);
        let all = self.all();
        let held = futures::future::join_all(all.iter().map(|gateway| gateway.client.hold(context()))).await;
        // One that has ended meanwhile holds nothing.
        let failed = held.iter().any(|held| matches!(held, Err(tarpc::client::RpcError::DeadlineExceeded)));
        if failed {
            let busy = self.busy();
            self.release().await;
            return Err(busy);
        }
        Ok(())
    }

    /// Takes calls and connections again.
    pub(crate) async fn release(&self) {
        let context = || hull_wire::context(RequestId(rand::random()), DYING);
        let all = self.all();
        futures::future::join_all(all.iter().map(|gateway| gateway.client.release(context()))).await;
        if let Err(error) = self.accept_again() {
            tracing::error!(%error, "cannot accept connections any more");
        }
    }

    async fn start_another(&self) -> Result<(), crate::plugins::sandbox::SpawnError> {
        let _replacing = self.0.replacing.lock().await;
        if self.0.current.borrow().is_none() {
            let gateway = self.start(program_beside(&self.0.settings.executable)).await?;
            self.0.current.send_replace(Some(self.enlist(gateway)));
        }
        Ok(())
    }

    async fn start(&self, program: std::path::PathBuf) -> Result<Gateway, crate::plugins::sandbox::SpawnError> {
        let number = self.all().iter().map(|gateway| gateway.number).max().unwrap_or(0) + 1;
        Gateway::start(number, program, &self.surroundings()).await
    }

    /// One of [`Gateways::all`] from now on, and the current one if it is not retired; its end is seen to.
    fn enlist(&self, gateway: Gateway) -> Arc<Gateway> {
        let gateway = Arc::new(gateway);
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner).push(gateway.clone());
        if !gateway.is_retiring() {
            self.0.current.send_replace(Some(gateway.clone()));
        }
        self.0.tasks.spawn(self.clone().bury(gateway.clone()));
        self.0.tasks.spawn(self.clone().keep_well(gateway.number));
        gateway
    }

    /// One that hangs would keep everybody from the API: it is ended, and another started.
    async fn keep_well(self, number: u32) {
        let mut silent = 0;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.0.stop.cancelled() => return,
            }
            // Not held meanwhile: with it go its descriptors.
            let Some(gateway) = self.all().into_iter().find(|gateway| gateway.number == number) else { return };
            silent = if gateway.is_well().await { 0 } else { silent + 1 };
            if silent == SILENT {
                tracing::warn!(gateway = number, "the gateway does not answer; ending it");
                gateway.kill();
            }
        }
    }

    async fn bury(self, gateway: Arc<Gateway>) {
        let inner = &self.0;
        let status = gateway.ended(&inner.settings).await.map(crate::plugins::describe_status);
        match gateway.is_retiring() || inner.stop.is_cancelled() {
            true => tracing::info!(gateway = gateway.number, ?status, "a gateway has ended"),
            false => tracing::warn!(gateway = gateway.number, ?status, "the gateway has ended; starting another"),
        }
        inner.answerer.connections.all_closed(gateway.number);
        if let Err(error) = gateway.forget(&inner.settings).await {
            tracing::debug!(%error, "the keeper keeps an ended gateway");
        }
        inner.all.lock().unwrap_or_else(PoisonError::into_inner).retain(|one| one.number != gateway.number);
        inner.current.send_if_modified(|current| {
            let gone = current.as_ref().is_some_and(|current| current.number == gateway.number);
            if gone {
                *current = None;
            }
            gone
        });
    }

    /// An adopted gateway that does not answer is of no use to its clients.
    async fn check(self, gateway: Arc<Gateway>) {
        if !gateway.is_well().await {
            tracing::warn!(gateway = gateway.number, "a gateway does not answer its new hulld; ending it");
            gateway.kill();
        }
    }

    fn accept_again(&self) -> std::io::Result<()> {
        let inner = &self.0;
        let mut accepting = inner.accepting.lock().unwrap_or_else(PoisonError::into_inner);
        if accepting.is_none() {
            let listener = UnixListener::from_std(inner.listener.try_clone()?)?;
            let stop = inner.stop.child_token();
            let connections = inner.answerer.connections.clone();
            let task = tokio::spawn(accept(listener, connections, inner.current.subscribe(), stop.clone()));
            *accepting = Some((stop, task));
        }
        Ok(())
    }

    /// Returns when no connection is on its way to a gateway.
    async fn stop_accepting(&self) {
        let accepting = self.0.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, task)) = accepting {
            stop.cancel();
            let _ = task.await; // it ends in no other way
        }
    }

    fn all(&self) -> Vec<Arc<Gateway>> {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn surroundings(&self) -> Surroundings<'_> {
        let inner = &self.0;
        Surroundings { settings: &inner.settings, answerer: &inner.answerer, tasks: &inner.tasks }
    }
}
