//! The one task that holds a plugin's process: it feeds events to [`step`] and does what that says.
//!
//! What concerns a successor beside it is in [`super::upgrade`], and what follows a replacement in [`super::retire`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hull_plugin::{DriverError, LifecycleClient, StoredHandle};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::greet::{self, GreetError, Greeted};
use super::handle::{Facts, Installed, Spec, Status};
use super::output::Output;
use super::retire::Retiring;
use super::session::{Calls, Heartbeat, Session};
use super::state::{Action, Event, State, step};
use super::upgrade::{self, Upgrade};
use crate::plugins::sandbox::{self, Child, Slot, SpawnError};
use crate::plugins::statistics::Ending;
use crate::plugins::{FailureKind, Notice, PluginFailure, upcalls};

/// What is asked of the owner; `done` is told when it has acted.
pub(crate) enum Command {
    Wanted(oneshot::Sender<()>),
    Hung {
        generation: u64,
        why: String,
        done: oneshot::Sender<()>,
    },
    Reset(oneshot::Sender<()>),
    /// Replace the process by one of this program; answered when it is done, or refused.
    Succeed {
        installed: Arc<Installed>,
        done: oneshot::Sender<Result<(), DriverError>>,
    },
    /// The next process is to be one of this program; the present one, if there is one, rests.
    Adopt {
        installed: Arc<Installed>,
        done: oneshot::Sender<()>,
    },
    /// It is not needed ever again.
    End(oneshot::Sender<()>),
}

/// What a command comes to.
enum Understood {
    Event(Event),
    /// It was carried out, or means nothing any more.
    Done,
    End(oneshot::Sender<()>),
}

/// A process that has lived so long does not keep ending.
const WELL_AFTER: Duration = Duration::from_secs(60);

pub(super) type Pending = Pin<Box<dyn Future<Output = Result<Step, GreetError>> + Send>>;

/// A step on the way to serving that is through.
pub(super) enum Step {
    Greeted(Greeted),
    Recovered(Vec<StoredHandle>),
    Checked,
    HandedOver,
    InCharge,
}

/// A process, from its start until it is gone.
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) slot: Slot,
    pub(super) generation: u64,
    pub(super) output: Output,
    pub(super) heartbeat: Arc<Heartbeat>,
    pub(super) gone: CancellationToken,
    pub(super) greeted: Option<Greeted>,
    /// Once it has greeted and been told of its objects.
    pub(super) session: Option<Arc<Session>>,
}

pub(crate) struct Owner {
    /// Whose process runs, or would.
    pub(super) spec: Arc<Spec>,
    pub(super) status: watch::Sender<Status>,
    pub(super) facts: watch::Sender<Facts>,
    pub(super) state: State,
    pub(super) generation: u64,
    pub(super) running: Option<Running>,
    pending: Option<Pending>,
    /// Why hulld itself ended the process.
    complaint: Option<String>,
    pub(super) upgrade: Option<Upgrade>,
    /// Somebody has called meanwhile, and there is no process beside the successor.
    pub(super) wanted: bool,
    /// Processes that were replaced and still have calls.
    pub(super) retiring: Vec<Retiring>,
    /// Whether this program has ever served: if not, it may be given up for an older one.
    pub(super) proven: bool,
    output: Output,
}

pub(crate) async fn run(mut owner: Owner, mut commands: mpsc::Receiver<Command>, stop: CancellationToken) {
    loop {
        let mut asked = None;
        let event = tokio::select! {
            biased;
            () = stop.cancelled() => return owner.end().await,
            command = commands.recv() => match command {
                None => return owner.end_for_good().await,
                Some(command) => match owner.understand(command, &mut asked).await {
                    Understood::Event(event) => event,
                    Understood::Done => continue,
                    Understood::End(done) => {
                        owner.end_for_good().await;
                        let _ = done.send(()); // who asked may have gone
                        return;
                    }
                },
            },
            () = exited(owner.running.as_ref()) => owner.bury().await,
            through = pending(&mut owner.pending) => owner.advance(through),
            () = tick(owner.state) => Event::Tick,
            () = unneeded(owner.running.as_ref(), owner.spec.environment.rest_after) => match owner.may_rest() {
                true => Event::Unneeded,
                false => continue,
            },
            event = upgrade::next(&mut owner.upgrade) => {
                owner.upgrade_event(event).await;
                continue;
            }
        };
        owner.apply(event).await;
        if let Some(asked) = asked.take() {
            let _ = asked.send(()); // who asked may have gone
        }
    }
}

impl Owner {
    pub(crate) fn new(
        spec: Arc<Spec>,
        status: watch::Sender<Status>,
        facts: watch::Sender<Facts>,
        output: Output,
    ) -> Self {
        Self {
            spec,
            status,
            facts,
            state: State::Stopped,
            generation: 0,
            running: None,
            pending: None,
            complaint: None,
            upgrade: None,
            wanted: false,
            retiring: Vec::new(),
            proven: false,
            output,
        }
    }

    /// A complaint about a process that is gone already means nothing.
    async fn understand(&mut self, command: Command, asked: &mut Option<oneshot::Sender<()>>) -> Understood {
        let (event, done) = match command {
            // With no process beside it the successor is what is wanted: another one would be in its way.
            Command::Wanted(done) if self.upgrade.is_some() && self.running.is_none() => {
                self.wanted = true;
                let _ = done.send(()); // who asked waits for a process that serves
                return Understood::Done;
            }
            Command::Wanted(done) => (Event::Wanted, done),
            Command::Reset(done) => {
                self.spec.statistics.expect_end();
                (Event::Reset, done)
            }
            Command::Succeed { installed, done } => {
                self.begin_upgrade(installed, done).await;
                return Understood::Done;
            }
            Command::Adopt { installed, done } => {
                self.adopt(installed);
                (Event::Unneeded, done)
            }
            Command::Hung { generation, why, done } => {
                if self.running.as_ref().is_none_or(|running| running.generation != generation) {
                    self.condemn(generation, &why);
                    return Understood::Done;
                }
                (self.complain(why), done)
            }
            Command::End(done) => return Understood::End(done),
        };
        *asked = Some(done);
        Understood::Event(event)
    }

    pub(super) async fn apply(&mut self, event: Event) {
        let mut event = Some(event);
        while let Some(current) = event.take() {
            let (state, actions) = step(self.state, current, Instant::now());
            let served = matches!(self.state, State::Ready { .. });
            self.state = state;
            for action in actions {
                if let Some(followed_by) = self.act(*action).await {
                    event = Some(followed_by);
                }
            }
            if served && !matches!(self.state, State::Ready { .. }) {
                self.upgrade_lost_its_predecessor().await;
            }
        }
    }

    async fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Spawn => return self.spawn().await,
            Action::Recover => self.recover(),
            Action::Route => self.route(),
            Action::Unroute => _ = self.status.send_replace(Status::Starting),
            Action::Rest => self.rest(),
            Action::Kill => self.kill(),
            Action::Abandon => self.abandon(),
            Action::Warn => return self.give_up(),
        }
        None
    }

    async fn spawn(&mut self) -> Option<Event> {
        self.complaint = None;
        self.status.send_replace(Status::Starting);
        match self.start(self.spec.clone()).await {
            Ok((running, greeting)) => {
                self.pending = Some(greeting);
                self.running = Some(running);
                None
            }
            Err(error) => {
                if let sandbox::SpawnError::Pool { .. } = &error {
                    let why = error.to_string();
                    tracing::warn!(plugin = %self.spec.name, why, "plugin not started");
                    self.facts.send_modify(|facts| facts.last_end = Some(why.clone().into()));
                    self.spec.notice(Notice::PoolClosed { why });
                    self.status.send_replace(Status::Stopped);
                    return Some(Event::Absent);
                }
                self.account(format!("cannot be started: {}", crate::plugins::chain(&error)));
                Some(Event::Exited)
            }
        }
    }

    /// Starts a process in a slot that no living one has.
    pub(super) async fn start(&mut self, spec: Arc<Spec>) -> Result<(Running, Pending), SpawnError> {
        let slot = self.free_slot();
        self.generation += 1;
        let first = self.generation == 1;
        spec.statistics.started();
        let (mut child, sockets, stderr) = sandbox::spawn_plugin(&spec, slot, first).await?;
        let tasks = &spec.environment.tasks;
        child.take_refusals().map(|refusals| tasks.spawn(refusals.follow()));
        let (output, heartbeat) = (self.output.chapter(), Arc::new(Heartbeat::new()));
        let follow = output.clone().follow(spec.name.to_string(), stderr);
        tasks.spawn(async move {
            if let Err(error) = follow.await {
                tracing::debug!(%error, "a plugin's output is lost");
            }
        });
        tasks.spawn(upcalls::serve(spec.clone(), heartbeat.clone(), sockets.host));
        let sockets = sandbox::Sockets { lifecycle: sockets.lifecycle, driver: sockets.driver };
        let greeting = greet::greet(spec.clone(), sockets, tasks.clone());
        let running = Running {
            child,
            slot,
            generation: self.generation,
            output,
            heartbeat,
            gone: CancellationToken::new(),
            greeted: None,
            session: None,
        };
        Ok((running, Box::pin(async move { greeting.await.map(Step::Greeted) })))
    }

    fn recover(&mut self) {
        let Some(running) = &mut self.running else { return };
        let Some(session) = running.become_session() else { return };
        let (spec, lifecycle) = (self.spec.clone(), session.lifecycle.clone());
        self.pending = Some(in_charge(spec, lifecycle, Vec::new()));
    }

    fn adopt(&mut self, installed: Arc<Installed>) {
        self.spec = Arc::new(self.spec.with(installed.clone()));
        self.proven = false;
        self.facts.send_modify(|facts| facts.installed = installed);
    }

    fn route(&mut self) {
        let Some(session) = self.running.as_ref().and_then(|running| running.session.clone()) else { return };
        self.serve(session);
    }

    /// Calls go to this process from now on.
    pub(super) fn serve(&mut self, session: Arc<Session>) {
        tracing::info!(plugin = %self.spec.name, pid = session.pid, version = session.description.version, "plugin ready");
        self.proven = true;
        let installed = self.spec.installed.clone();
        self.facts.send_modify(|facts| {
            facts.starts += u64::from(!std::mem::take(&mut facts.rests));
            facts.since = Some(SystemTime::now());
            facts.installed = installed;
        });
        self.watch_health(session.gone.clone());
        self.status.send_replace(Status::Ready(session));
    }

    fn advance(&mut self, through: Result<Step, GreetError>) -> Event {
        self.pending = None;
        match (through, &mut self.running) {
            (Ok(Step::Greeted(greeted)), Some(running)) => {
                running.greeted = Some(greeted);
                Event::Greeted
            }
            (Ok(_), _) => Event::Recovered,
            (Err(error), _) => self.complain(crate::plugins::chain(&error)),
        }
    }

    pub(super) fn complain(&mut self, why: String) -> Event {
        self.complaint.get_or_insert(why);
        Event::Hung
    }

    /// What is to be done about a process of this plugin that does not work.
    pub(super) async fn hung(&mut self, why: String) {
        let event = self.complain(why);
        Box::pin(self.apply(event)).await;
    }

    /// Whether it has nothing to look after, once nobody has called for a while. If not, it is asked again after another.
    fn may_rest(&self) -> bool {
        let Some(session) = self.running.as_ref().and_then(|running| running.session.as_ref()) else { return false };
        session.calls.touch();
        self.tidy_groups();
        let (spec, environment) = (&self.spec, &self.spec.environment);
        let objects = environment.handles.handles(&spec.name.plugin, spec.name.pool.as_ref());
        self.upgrade.is_none() && !spec.installed.manifest.resident && objects.is_empty()
    }

    fn rest(&mut self) {
        let Some(running) = self.running.take() else { return };
        tracing::info!(plugin = %self.spec.name, pid = running.child.pid(), "plugin is not needed now");
        self.status.send_replace(Status::Stopped);
        self.facts.send_modify(|facts| facts.rests = true);
        self.spec.statistics.rests();
        self.retire(running);
    }

    fn kill(&mut self) {
        self.pending = None;
        let Some(running) = &self.running else { return };
        let why = self.complaint.get_or_insert_with(|| "it was not ready in time, or is to be restarted".into());
        tracing::warn!(plugin = %self.spec.name, pid = running.child.pid(), why, "killing plugin");
        running.child.kill();
    }

    /// The process has ended: what it left is cleared away and its end put down.
    async fn bury(&mut self) -> Event {
        self.pending = None;
        if let Some(running) = self.running.take() {
            running.gone.cancel();
            let account = running.account(self.complaint.as_deref()).await;
            self.account(account);
            sandbox::forget_plugin(&self.spec, running.slot).await;
        }
        Event::Exited
    }

    fn abandon(&mut self) {
        if let Some(running) = self.running.take() {
            running.gone.cancel();
            let stack = running.child.kernel_stack();
            self.account(format!("does not die of SIGKILL and was abandoned; it is in the kernel at {stack}"));
            let stop = self.spec.environment.stop.clone();
            self.spec.environment.tasks.spawn(async move { stop.run_until_cancelled(reap(running.child)).await });
        }
    }

    fn account(&self, how: String) {
        tracing::warn!(plugin = %self.spec.name, how, "plugin ended");
        let ending = self.spec.statistics.ended(&how);
        if ending != Ending::Expected {
            self.announce(FailureKind::Ended, &how);
        }
        if ending == Ending::TooOften {
            self.spec.notice(Notice::KeepsEnding { how: how.clone() });
        }
        self.facts.send_modify(|facts| facts.last_end = Some(how.into()));
    }

    fn announce(&self, kind: FailureKind, reason: &str) {
        let failure = PluginFailure {
            plugin: self.spec.name.plugin.clone(),
            process: self.spec.name.to_string(),
            kind,
            reason: reason.to_owned(),
        };
        let _ = self.spec.environment.failures.send(failure); // nobody who listens is fine
    }

    /// Out of service; or, with a version that never served, back to the one before it.
    fn give_up(&mut self) -> Option<Event> {
        let reason = self.facts.borrow().last_end.clone().unwrap_or_else(|| "too many crashes".into());
        if !self.proven
            && let Some(older) = &self.spec.installed.fallback
        {
            let (version, older_version) = (&self.spec.installed.manifest.version, &older.manifest.version);
            tracing::error!(plugin = %self.spec.name, %reason, version, older_version, "the chosen version does not start: going back to the last good one");
            self.spec = Arc::new(self.spec.with(older.clone()));
            return Some(Event::Reset);
        }
        tracing::error!(plugin = %self.spec.name, %reason, "plugin is out of service");
        self.spec.statistics.doubt();
        self.spec.notice(Notice::OutOfService { why: reason.to_string() });
        self.announce(FailureKind::OutOfService, &reason);
        self.status.send_replace(Status::Failed(reason));
        None
    }

    /// A process that has lived for a while after bad times is well again.
    fn watch_health(&self, gone: CancellationToken) {
        let (spec, stop) = (self.spec.clone(), self.spec.environment.stop.clone());
        self.spec.environment.tasks.spawn(async move {
            tokio::select! {
                () = gone.cancelled() => {}
                () = stop.cancelled() => {}
                () = tokio::time::sleep(WELL_AFTER) => spec.notice(Notice::Well),
            }
        });
    }

    /// hulld ends: the process follows, since its sockets close; one that does not is killed.
    /// Leaves nothing of it.
    async fn end_for_good(self) {
        let (spec, slots) = (self.spec.clone(), self.taken_slots());
        self.end().await;
        for slot in slots {
            sandbox::forget_plugin(&spec, slot).await;
        }
        sandbox::remove_groups(&spec);
    }

    async fn end(mut self) {
        self.pending = None;
        self.status.send_replace(Status::Stopped);
        let successor = self.upgrade.take().map(|upgrade| upgrade.running);
        for running in [self.running.take(), successor].into_iter().flatten() {
            running.gone.cancel();
            running.child.kill();
            // Not dying of SIGKILL within the bound: the next hulld finds it in its cgroup.
            if tokio::time::timeout(Duration::from_secs(1), running.child.exited()).await.is_ok() {
                running.child.status(); // reaps it
            }
        }
    }
}

impl Running {
    /// From a process that has greeted to one that can be called.
    pub(super) fn become_session(&mut self) -> Option<Arc<Session>> {
        let greeted = self.greeted.take()?;
        let session = Arc::new(Session {
            generation: self.generation,
            pid: self.child.pid(),
            slot: self.slot,
            description: greeted.description,
            contract: greeted.contract,
            lifecycle: greeted.lifecycle,
            driver: greeted.driver,
            gone: self.gone.clone(),
            opened: tokio::sync::OnceCell::new(),
            heartbeat: self.heartbeat.clone(),
            output: self.output.clone(),
            calls: Calls::default(),
            ignored: Default::default(),
            condemned: CancellationToken::new(),
        });
        self.session = Some(session.clone());
        Some(session)
    }

    /// How it ended, with its last words. Reaps it.
    pub(super) async fn account(&self, complaint: Option<&str>) -> String {
        let status = self.child.status();
        let mut account = status.map_or("ended, nobody knows how".into(), crate::plugins::describe_status);
        if let Some(complaint) = complaint.filter(|_| status == Some(nix::libc::SIGKILL)) {
            account = format!("killed by hulld: {complaint}");
        }
        self.with_last_words(account).await
    }

    /// `account`, and what the process said last. Waits for that if it has ended.
    pub(super) async fn with_last_words(&self, account: String) -> String {
        let ended = self.child.status().is_some();
        let lines = if ended { self.output.last_words().await } else { self.output.last_lines() };
        if lines.is_empty() { account } else { format!("{account}; its last words: {}", lines.join(" | ")) }
    }
}

/// What is new since `known` is recovered, then the process is told that it serves.
pub(super) fn in_charge(spec: Arc<Spec>, lifecycle: LifecycleClient, known: Vec<StoredHandle>) -> Pending {
    Box::pin(async move {
        greet::recover(spec, lifecycle.clone(), known).await?;
        greet::take_charge(lifecycle).await.map(|()| Step::InCharge)
    })
}

/// An abandoned process may end after all.
async fn reap(child: Child) {
    child.exited().await;
    if let Some(status) = child.status() {
        tracing::info!(pid = child.pid(), how = crate::plugins::describe_status(status), "abandoned plugin ended");
    }
}

pub(super) async fn exited(running: Option<&Running>) {
    match running {
        Some(running) => running.child.exited().await,
        None => std::future::pending().await,
    }
}

/// Returns when nobody has called the process for so long.
async fn unneeded(running: Option<&Running>, after: Duration) {
    match running.and_then(|running| running.session.as_ref()) {
        Some(session) => session.calls.quiet_for(after).await,
        None => std::future::pending().await,
    }
}

pub(super) async fn pending(pending: &mut Option<Pending>) -> Result<Step, GreetError> {
    match pending {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn tick(state: State) {
    match state.deadline() {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
