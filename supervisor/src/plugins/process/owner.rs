//! The one task that holds a plugin's process: it feeds events to [`step`] and does what that says.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::greet::{self, GreetError, Greeted};
use super::handle::{Spec, Status};
use super::output::Output;
use super::session::{Heartbeat, Session};
use super::state::{Action, Event, State, step};
use crate::plugins::sandbox::{self, Child};
use crate::plugins::{Notice, upcalls};

/// What is asked of the owner; `done` is told when it has acted.
pub(crate) enum Command {
    Wanted(oneshot::Sender<()>),
    Hung { generation: u64, why: String, done: oneshot::Sender<()> },
    Reset(oneshot::Sender<()>),
}

/// A process that has lived so long does not keep ending.
const WELL_AFTER: std::time::Duration = std::time::Duration::from_secs(60);

type Pending = Pin<Box<dyn Future<Output = Result<Step, GreetError>> + Send>>;

/// A step of the start that is through.
enum Step {
    Greeted(Greeted),
    Recovered,
}

/// A process, from its start until it is gone.
struct Running {
    child: Child,
    output: Output,
    heartbeat: Arc<Heartbeat>,
    gone: CancellationToken,
    greeted: Option<Greeted>,
}

pub(crate) struct Owner {
    spec: Arc<Spec>,
    status: watch::Sender<Status>,
    last_end: watch::Sender<Option<Arc<str>>>,
    state: State,
    generation: u64,
    running: Option<Running>,
    pending: Option<Pending>,
    /// Why hulld itself ended the process.
    complaint: Option<String>,
}

pub(crate) async fn run(mut owner: Owner, mut commands: mpsc::Receiver<Command>, stop: CancellationToken) {
    loop {
        let mut asked = None;
        let event = tokio::select! {
            biased;
            () = stop.cancelled() => return owner.end().await,
            command = commands.recv() => match command {
                None => return owner.end().await,
                Some(command) => match owner.understand(command, &mut asked) {
                    Some(event) => event,
                    None => continue,
                },
            },
            () = exited(owner.running.as_ref()) => owner.bury().await,
            through = pending(&mut owner.pending) => owner.advance(through),
            () = tick(owner.state) => Event::Tick,
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
        last_end: watch::Sender<Option<Arc<str>>>,
    ) -> Self {
        let (state, generation, running, pending, complaint) = (State::Stopped, 0, None, None, None);
        Self { spec, status, last_end, state, generation, running, pending, complaint }
    }

    /// A complaint about a process that is gone already means nothing.
    fn understand(&mut self, command: Command, asked: &mut Option<oneshot::Sender<()>>) -> Option<Event> {
        let (event, done) = match command {
            Command::Wanted(done) => (Event::Wanted, done),
            Command::Reset(done) => {
                self.spec.statistics.expect_end();
                (Event::Reset, done)
            }
            Command::Hung { generation, why, done } if generation == self.generation => (self.complain(why), done),
            Command::Hung { .. } => return None,
        };
        *asked = Some(done);
        Some(event)
    }

    async fn apply(&mut self, event: Event) {
        let mut event = Some(event);
        while let Some(current) = event.take() {
            let (state, actions) = step(self.state, current, Instant::now());
            self.state = state;
            for action in actions {
                if let Some(followed_by) = self.act(*action).await {
                    event = Some(followed_by);
                }
            }
        }
    }

    async fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Spawn => return self.spawn().await,
            Action::Recover => self.recover(),
            Action::Route => self.route(),
            Action::Unroute => _ = self.status.send_replace(Status::Starting),
            Action::Kill => self.kill(),
            Action::Abandon => self.abandon(),
            Action::Warn => self.warn(),
        }
        None
    }

    async fn spawn(&mut self) -> Option<Event> {
        self.generation += 1;
        self.complaint = None;
        self.status.send_replace(Status::Starting);
        self.spec.statistics.started();
        match sandbox::spawn_plugin(&self.spec).await {
            Ok((child, sockets, stderr)) => {
                let tasks = &self.spec.environment.tasks;
                let (output, heartbeat) = (Output::default(), Arc::new(Heartbeat::new()));
                let follow = output.clone().follow(self.spec.name.to_string(), stderr);
                tasks.spawn(async move {
                    if let Err(error) = follow.await {
                        tracing::debug!(%error, "a plugin's output is lost");
                    }
                });
                tasks.spawn(upcalls::serve(self.spec.clone(), heartbeat.clone(), sockets.host));
                let sockets = sandbox::Sockets { lifecycle: sockets.lifecycle, driver: sockets.driver };
                let greeting = greet::greet(self.spec.clone(), sockets, tasks.clone());
                self.pending = Some(Box::pin(async move { greeting.await.map(Step::Greeted) }));
                let gone = CancellationToken::new();
                self.running = Some(Running { child, output, heartbeat, gone, greeted: None });
                None
            }
            Err(error) => {
                if let sandbox::SpawnError::Pool { .. } = &error {
                    self.spec.notice(Notice::PoolClosed { why: error.to_string() });
                }
                self.account(format!("cannot be started: {}", crate::plugins::chain(&error)));
                Some(Event::Exited)
            }
        }
    }

    fn recover(&mut self) {
        let Some(greeted) = self.running.as_ref().and_then(|running| running.greeted.as_ref()) else { return };
        let recovering = greet::recover(self.spec.clone(), greeted.lifecycle.clone());
        self.pending = Some(Box::pin(async move { recovering.await.map(|()| Step::Recovered) }));
    }

    fn route(&mut self) {
        let Some(running) = &mut self.running else { return };
        let Some(greeted) = running.greeted.take() else { return };
        let session = Session {
            generation: self.generation,
            pid: running.child.pid(),
            description: greeted.description,
            lifecycle: greeted.lifecycle,
            driver: greeted.driver,
            gone: running.gone.clone(),
            opened: tokio::sync::OnceCell::new(),
            heartbeat: running.heartbeat.clone(),
            output: running.output.clone(),
        };
        tracing::info!(plugin = %self.spec.name, pid = session.pid, "plugin ready");
        self.watch_health(session.gone.clone());
        self.status.send_replace(Status::Ready(Arc::new(session)));
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

    fn complain(&mut self, why: String) -> Event {
        self.complaint.get_or_insert(why);
        Event::Hung
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
            let status = running.child.status();
            let mut account = status.map_or("ended, nobody knows how".into(), crate::plugins::describe_status);
            if let Some(complaint) = self.complaint.as_ref().filter(|_| status == Some(nix::libc::SIGKILL)) {
                account = format!("killed by hulld: {complaint}");
            }
            let lines = running.output.last_lines();
            if !lines.is_empty() {
                account = format!("{account}; its last words: {}", lines.join(" | "));
            }
            self.account(account);
        }
        Event::Exited
    }

    fn abandon(&mut self) {
        if let Some(running) = self.running.take() {
            running.gone.cancel();
            let stack = running.child.kernel_stack();
            self.account(format!("does not die of SIGKILL and was abandoned; it is in the kernel at {stack}"));
        }
    }

    fn account(&self, how: String) {
        tracing::warn!(plugin = %self.spec.name, how, "plugin ended");
        if self.spec.statistics.ended(&how) {
            self.spec.notice(Notice::KeepsEnding { how: how.clone() });
        }
        self.last_end.send_replace(Some(how.into()));
    }

    fn warn(&self) {
        let reason = self.last_end.borrow().clone().unwrap_or_else(|| "too many crashes".into());
        tracing::error!(plugin = %self.spec.name, %reason, "plugin is out of service");
        self.spec.statistics.doubt();
        self.spec.notice(Notice::OutOfService { why: reason.to_string() });
        self.status.send_replace(Status::Failed(reason));
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
    async fn end(mut self) {
        self.pending = None;
        self.status.send_replace(Status::Stopped);
        if let Some(running) = self.running.take() {
            running.gone.cancel();
            running.child.kill();
            // Not dying of SIGKILL within the bound: the next hulld finds it in its cgroup.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(1), running.child.exited()).await;
        }
    }
}

async fn exited(running: Option<&Running>) {
    match running {
        Some(running) => running.child.exited().await,
        None => std::future::pending().await,
    }
}

async fn pending(pending: &mut Option<Pending>) -> Result<Step, GreetError> {
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
