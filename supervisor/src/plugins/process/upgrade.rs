//! Replacing a process by a successor beside it: what [`super::succession`] decides is done here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hull_plugin::tarpc::client::RpcError;
use hull_plugin::{Code, DriverError, LifecycleClient, RequestId, StoredHandle, context};
use tokio::sync::oneshot;

use super::greet::{self, GreetError};
use super::handle::{Installed, Spec, Status};
use super::owner::{Owner, Pending, Running, Step, exited, in_charge, pending};
use super::retire;
use super::sane::sane;
use super::state::{self, State};
use super::succession::{self, Action, Event, Predecessor, Succession, step};

/// How long a process may take to become the one that serves again.
const GIVE_BACK: Duration = Duration::from_secs(2);
/// Between the end of its sockets and that of a process that crashes.
const CLOSING: Duration = Duration::from_millis(300);

/// A successor on its way.
pub(super) struct Upgrade {
    state: Succession,
    spec: Arc<Spec>,
    pub(super) running: Running,
    pending: Option<Pending>,
    /// The objects it has been told of.
    known: Vec<StoredHandle>,
    /// Where calls went before.
    before: Status,
    /// Since when calls wait.
    held: Option<Instant>,
    /// Why it is of no use.
    why: Option<String>,
    /// Its sockets are closed: most likely it has ended this moment.
    closed: bool,
    done: oneshot::Sender<Result<(), DriverError>>,
}

/// What has happened to it.
pub(super) enum Happened {
    Exited,
    Through(Result<Step, GreetError>),
    Tick,
}

/// The next thing that happens to a successor; never, without one.
pub(super) async fn next(upgrade: &mut Option<Upgrade>) -> Happened {
    let Some(upgrade) = upgrade else { return std::future::pending().await };
    tokio::select! {
        biased;
        through = pending(&mut upgrade.pending) => Happened::Through(through),
        () = exited(Some(&upgrade.running)) => Happened::Exited,
        () = tokio::time::sleep_until(upgrade.state.deadline().into()) => Happened::Tick,
    }
}

impl Owner {
    pub(super) async fn begin_upgrade(
        &mut self,
        installed: Arc<Installed>,
        done: oneshot::Sender<Result<(), DriverError>>,
    ) {
        let predecessor = match self.state {
            State::Ready { .. } => Predecessor::Serves,
            State::Stopped | State::Failed { .. } => Predecessor::None,
            _ => return refuse(done, self.busy("its process is starting or ending")),
        };
        if self.upgrade.is_some() {
            return refuse(done, self.busy("another upgrade is under way"));
        }
        if self.retiring() >= retire::MOST {
            let why = format!("{} replaced processes still finish their calls", self.retiring());
            return refuse(done, self.busy(&why));
        }
        let spec = Arc::new(self.spec.with(installed));
        match self.start(spec.clone()).await {
            Ok((running, greeting)) => {
                tracing::info!(plugin = %spec.name, pid = running.child.pid(), version = spec.installed.manifest.version, "successor started");
                self.upgrade = Some(Upgrade {
                    state: succession::begin(predecessor, Instant::now()),
                    spec,
                    running,
                    pending: Some(greeting),
                    known: Vec::new(),
                    before: self.status.borrow().clone(),
                    held: None,
                    why: None,
                    closed: false,
                    done,
                });
            }
            Err(error) => {
                refuse(done, self.refusal(&format!("it cannot be started: {}", crate::plugins::chain(&error))))
            }
        }
    }

    pub(super) async fn upgrade_event(&mut self, happened: Happened) {
        let Some(upgrade) = &mut self.upgrade else { return };
        let event = upgrade.understand(happened);
        self.upgrade_step(event).await;
    }

    pub(super) async fn upgrade_lost_its_predecessor(&mut self) {
        let Some(upgrade) = &mut self.upgrade else { return };
        upgrade.why.get_or_insert_with(|| "the running process ended meanwhile; it is started again".into());
        self.upgrade_step(Event::PredecessorLost).await;
    }

    async fn upgrade_step(&mut self, event: Event) {
        let Some(upgrade) = &mut self.upgrade else { return };
        let (state, actions) = step(upgrade.state, event, Instant::now());
        if state.is_none() {
            upgrade.why.get_or_insert_with(|| upgrade.state.waits_for().into());
        }
        upgrade.state = state.unwrap_or(upgrade.state);
        for action in actions {
            self.upgrade_act(*action).await;
        }
    }

    async fn upgrade_act(&mut self, action: Action) {
        let Some(upgrade) = &mut self.upgrade else { return };
        match action {
            Action::Recover => upgrade.recover(),
            Action::Check => upgrade.check(),
            Action::Hold => {
                upgrade.held = Some(Instant::now());
                self.status.send_replace(Status::Starting);
            }
            Action::AskToHandOver => {
                if let Status::Ready(session) = &upgrade.before {
                    upgrade.pending = Some(hand_over(session.lifecycle.clone()));
                }
            }
            Action::AskToTakeCharge => upgrade.take_charge(),
            Action::GiveBack => self.give_back().await,
            Action::Switch => self.switch(),
            Action::Refuse => self.refuse_upgrade().await,
        }
    }

    /// The old process is told that it serves on, and calls go to it again.
    async fn give_back(&mut self) {
        let Some(upgrade) = &mut self.upgrade else { return };
        upgrade.pending = None;
        let before = upgrade.before.clone();
        let Status::Ready(session) = &before else {
            self.status.send_replace(before);
            return;
        };
        let asked = sane(session.lifecycle.take_charge(context(RequestId(0), GIVE_BACK)));
        match tokio::time::timeout(GIVE_BACK, asked).await {
            Ok(Ok(Ok(()))) => _ = self.status.send_replace(before),
            failed => {
                tracing::error!(plugin = %self.spec.name, ?failed, "the running process does not take charge again");
                self.hung("it did not take charge again after an upgrade was refused".into()).await;
            }
        }
    }

    fn switch(&mut self) {
        let Some(upgrade) = self.upgrade.take() else { return };
        let Some(session) = upgrade.running.session.clone() else { return };
        let replaced = self.running.replace(upgrade.running);
        self.spec = upgrade.spec;
        self.wanted = false;
        self.state = state::succeeded(Instant::now());
        self.serve(session);
        if let Some(held) = upgrade.held.map(|since| since.elapsed()) {
            tracing::info!(plugin = %self.spec.name, ?held, "calls go to the successor");
            self.facts.send_modify(|facts| facts.held = facts.held.max(held));
        }
        if let Some(replaced) = replaced {
            self.retire(replaced);
        }
        let _ = upgrade.done.send(Ok(())); // who asked may have gone
    }

    async fn refuse_upgrade(&mut self) {
        let Some(mut upgrade) = self.upgrade.take() else { return };
        if upgrade.closed && tokio::time::timeout(CLOSING, upgrade.running.child.exited()).await.is_ok() {
            upgrade.why = Some(ended(&upgrade.running));
        }
        let why = upgrade.why.unwrap_or_else(|| "it is of no use".into());
        let why = upgrade.running.with_last_words(why).await;
        let error = self.refusal(&why);
        tracing::warn!(plugin = %self.spec.name, why, "upgrade refused");
        let (spec, running) = (upgrade.spec, upgrade.running);
        running.gone.cancel();
        running.child.kill();
        // Nobody has called it: what remains is a process that must not be there any more when it is tried again.
        if tokio::time::timeout(GIVE_BACK, running.child.exited()).await.is_ok() {
            running.child.status(); // reaps it
        }
        crate::plugins::sandbox::forget_plugin(&spec, running.slot).await;
        refuse(upgrade.done, error);
        if std::mem::take(&mut self.wanted) {
            Box::pin(self.apply(super::state::Event::Wanted)).await;
        }
    }

    fn busy(&self, why: &str) -> DriverError {
        DriverError::new(Code::Busy, format!("plugin `{}` cannot be replaced now", self.spec.name)).because(why)
    }

    fn refusal(&self, why: &str) -> DriverError {
        let message = format!("the new process of plugin `{}` was refused", self.spec.name);
        let serves = matches!(self.state, State::Ready { .. });
        let error = DriverError::new(Code::Unavailable, message).because(why);
        if serves { error.hint("the running one serves on") } else { error }
    }
}

impl Upgrade {
    fn understand(&mut self, happened: Happened) -> Event {
        match happened {
            Happened::Tick => Event::Tick,
            Happened::Exited => {
                self.why = Some(ended(&self.running));
                Event::Failed
            }
            Happened::Through(through) => {
                self.pending = None;
                self.through(through)
            }
        }
    }

    fn through(&mut self, through: Result<Step, GreetError>) -> Event {
        match through {
            Ok(Step::Greeted(greeted)) => {
                self.running.greeted = Some(greeted);
                Event::Greeted
            }
            Ok(Step::Recovered(known)) => {
                self.known = known;
                Event::Recovered
            }
            Ok(Step::Checked) => Event::Healthy,
            Ok(Step::HandedOver) => Event::HandedOver,
            Ok(Step::InCharge) => Event::InCharge,
            Err(GreetError::HandOver(error)) => {
                tracing::info!(plugin = %self.spec.name, %error, "the running process does not hand over yet");
                Event::StillBusy
            }
            Err(error) => {
                self.closed = matches!(&error, GreetError::Silent(RpcError::Shutdown | RpcError::Channel(_)));
                let why = crate::plugins::chain(&error);
                self.why.get_or_insert(match self.state.asks_predecessor() {
                    true => format!("the running process was asked to `hand_over`, and {why}"),
                    false => why,
                });
                Event::Failed
            }
        }
    }

    fn recover(&mut self) {
        let Some(session) = self.running.become_session() else { return };
        let recovering = greet::recover(self.spec.clone(), session.lifecycle.clone(), Vec::new());
        self.pending = Some(Box::pin(async move { recovering.await.map(Step::Recovered) }));
    }

    fn check(&mut self) {
        let Some(session) = self.running.session.clone() else { return };
        let checking = greet::check(self.spec.clone(), session);
        self.pending = Some(Box::pin(async move { checking.await.map(|()| Step::Checked) }));
    }

    fn take_charge(&mut self) {
        let Some(session) = self.running.session.as_ref() else { return };
        let known = std::mem::take(&mut self.known);
        self.pending = Some(in_charge(self.spec.clone(), session.lifecycle.clone(), known));
    }
}

fn ended(running: &Running) -> String {
    let how = running.child.status().map_or("nobody knows how".into(), crate::plugins::describe_status);
    format!("it ended while it was started: {how}")
}

fn hand_over(lifecycle: LifecycleClient) -> Pending {
    Box::pin(async move {
        let answer = sane(lifecycle.hand_over(context(RequestId(0), succession::GREETING))).await;
        answer.map_err(GreetError::Silent)?.map_err(GreetError::HandOver).map(|()| Step::HandedOver)
    })
}

fn refuse(done: oneshot::Sender<Result<(), DriverError>>, error: DriverError) {
    let _ = done.send(Err(error)); // who asked may have gone
}
