//! One call to a driver: waiting for the process, the deadline ladder, and repeating after a crash.

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use hull_plugin::tarpc::client::RpcError;
use hull_plugin::{Code, Context, DriverError, MAX_DEADLINE, context};

use super::handle::Process;
use super::queue::{Lane, Turn};
use super::session::{DriverClient, Session};
use crate::logging;
use crate::plugins::Notice;
use crate::plugins::handles::OPENING;

/// How often a call is sent before its failure is the caller's.
const ATTEMPTS: u32 = 3;
/// So often a call may meet a process that hands over: none does that twice while it serves.
const PASSED_ON: u32 = 8;
/// A process that broke its connection must be gone by then.
const FAREWELL: Duration = Duration::from_secs(3);
/// Between the end of a connection and that of its process, if it has crashed.
const CLOSING: Duration = Duration::from_millis(300);
/// The sign of life expected of a process that let a deadline pass.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// A bulk call may be silent for this long before the process is asked how it is.
const SILENCE: Duration = Duration::from_secs(30);
/// The sign of life expected of a process in a bulk call, which may be busy.
const BUSY_SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// A bulk call that shows no progress for so long has lost its way, however well the process says it is.
const STALLED: Duration = Duration::from_secs(15 * 60);

/// What a request may take beyond its deadline, which tarpc sees to.
const UNSENT: Duration = Duration::from_millis(500);
/// So many deadlines in a row without any answer, and a process is of no use, however well it says it is.
const IGNORED: u32 = 3;

/// When an answer is due.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    Within(Duration),
    /// No limit, as long as the process reports progress or answers that it is well.
    WhileAlive,
    /// The same, and never sent a second time.
    OnceWhileAlive,
}

impl Deadline {
    pub(crate) const fn seconds(seconds: u64) -> Self {
        Self::Within(Duration::from_secs(seconds))
    }

    /// What a request is given.
    fn limit(self) -> Duration {
        match self {
            Self::Within(limit) => limit.min(longest()),
            Self::WhileAlive | Self::OnceWhileAlive => MAX_DEADLINE,
        }
    }
}

/// A method of a contract, called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Method<'a> {
    pub(crate) name: &'static str,
    pub(crate) deadline: Deadline,
    /// What the call is about, as errors name it.
    pub(crate) object: Option<&'a str>,
}

/// Why one attempt gave no answer.
enum Miss {
    /// The process ended: another may do better.
    Crashed,
    Final(DriverError),
}

impl Process {
    /// Calls the driver, when it is this call's turn. `attempt` makes the request; it runs again for each repetition.
    pub(crate) async fn call<T, F, Sent>(&self, method: Method<'_>, attempt: F) -> Result<T, DriverError>
    where
        F: Fn(Arc<Session>, Context) -> io::Result<Sent>,
        Sent: Future<Output = Result<Result<T, DriverError>, RpcError>>,
    {
        let counted = self.spec.statistics.call(method.name);
        let answer = self.in_turn(method, attempt).await;
        counted.answered(&answer);
        if answer.is_ok() && self.spec.statistics.works() {
            self.spec.notice(Notice::Works);
        }
        answer
    }

    async fn in_turn<T, F, Sent>(&self, method: Method<'_>, attempt: F) -> Result<T, DriverError>
    where
        F: Fn(Arc<Session>, Context) -> io::Result<Sent>,
        Sent: Future<Output = Result<Result<T, DriverError>, RpcError>>,
    {
        let _turn = self.turn(method).await.map_err(|error| error.context(self.what(method)))?;
        let most = if matches!(method.deadline, Deadline::OnceWhileAlive) { 1 } else { ATTEMPTS };
        let (mut attempts, mut passed_on) = (0, 0);
        while attempts < most {
            let session = self.ready().await.map_err(|error| error.context(self.what(method)))?;
            // A process that has just been replaced takes no more calls: its successor does.
            let Some(_counted) = session.calls.enter() else { continue };
            attempts += 1;
            self.queue.set_bounds((&*session.description).into());
            match self.attempt(&session, method, &attempt).await {
                // It was on its way while its process handed over: nothing was begun.
                Ok(Err(error)) if error.code == Code::HandedOver && passed_on < PASSED_ON => {
                    passed_on += 1;
                    attempts -= 1;
                }
                Ok(Err(error)) if attempts > 1 => {
                    return Err(error.context(format!("{}, repeated because its process had ended", self.what(method))));
                }
                Ok(answer) => return answer,
                Err(Miss::Final(error)) => return Err(error),
                Err(Miss::Crashed) => self.farewell(&session).await,
            }
        }
        let times = if most == 1 { "while it worked".to_owned() } else { format!("{most} times") };
        let message = format!("{}: its process ended {times}", self.what(method));
        Err(self.with_last_end(DriverError::new(Code::Crashed, message)))
    }

    /// Waits for it as long as it takes; a question no longer than for its answer.
    async fn turn(&self, method: Method<'_>) -> Result<Turn, DriverError> {
        let lane = Lane::of(method);
        match method.deadline {
            Deadline::Within(limit) if lane == Lane::Quick => {
                let entered = tokio::time::timeout(limit, self.queue.enter(lane)).await;
                entered.unwrap_or_else(|_| {
                    Err(DriverError::new(Code::Overloaded, format!("it was not its turn within {limit:?}")))
                })
            }
            _ => self.queue.enter(lane).await,
        }
    }

    async fn attempt<T, F, Sent>(
        &self,
        session: &Arc<Session>,
        method: Method<'_>,
        attempt: &F,
    ) -> Result<Result<T, DriverError>, Miss>
    where
        F: Fn(Arc<Session>, Context) -> io::Result<Sent>,
        Sent: Future<Output = Result<Result<T, DriverError>, RpcError>>,
    {
        if !matches!(method.name, "create_pool" | "open_pool" | "delete_pool") {
            self.open_pool(session).await?;
        }
        let request = context(logging::current_request(), method.deadline.limit());
        let sent = attempt(session.clone(), request).map_err(|error| {
            Miss::Final(DriverError::system(&error, format!("{}: cannot copy its descriptors", self.what(method))))
        })?;
        self.answered(session, method, sent).await
    }

    /// What comes of a request.
    async fn answered<T>(
        &self,
        session: &Session,
        method: Method<'_>,
        sent: impl Future<Output = Result<Result<T, DriverError>, RpcError>>,
    ) -> Result<Result<T, DriverError>, Miss> {
        let limit = method.deadline.limit() + UNSENT;
        tokio::select! {
            answer = AssertUnwindSafe(tokio::time::timeout(limit, sent)).catch_unwind() => match answer {
                Ok(Ok(answer)) => self.judge(session, method, answer).await,
                // tarpc counts a deadline from when a request is on its way, and this one never was.
                Ok(Err(_elapsed)) => {
                    self.report_hung(session.generation, format!("`{}`: it does not read its calls", method.name)).await;
                    Err(Miss::Final(self.too_late(method, Some(deaf()))))
                }
                // tarpc's client panics on the answer of another method; nothing of ours is touched by it.
                Err(_panic) => {
                    let why = format!("it answered `{}` with the result of another method", method.name);
                    self.report_hung(session.generation, why).await;
                    Err(Miss::Crashed)
                }
            },
            () = session.gone.cancelled() => Err(Miss::Crashed),
            silence = silent(session, method.deadline) => {
                self.report_hung(session.generation, format!("`{}`: {silence}", method.name)).await;
                Err(Miss::Final(self.too_late(method, Some(silence))))
            }
        }
    }

    async fn judge<T>(
        &self,
        session: &Session,
        method: Method<'_>,
        answer: Result<Result<T, DriverError>, RpcError>,
    ) -> Result<Result<T, DriverError>, Miss> {
        match answer {
            Ok(answer) => {
                session.answered();
                Ok(answer)
            }
            Err(RpcError::DeadlineExceeded) => {
                let ignored = session.unanswered() >= IGNORED;
                let silence = session.health(SIGN_OF_LIFE).await.err().or_else(|| ignored.then(deaf));
                if let Some(silence) = &silence {
                    self.report_hung(session.generation, format!("`{}`: {silence}", method.name)).await;
                }
                Err(Miss::Final(self.too_late(method, silence)))
            }
            Err(RpcError::Server(error)) => {
                let error = error.detail;
                Err(Miss::Final(DriverError::internal(format!("{} failed", self.what(method))).because(error)))
            }
            Err(RpcError::Send(error)) => {
                Err(Miss::Final(DriverError::internal(format!("{}: cannot send it", self.what(method))).because(error)))
            }
            Err(RpcError::Shutdown | RpcError::Channel(_)) => {
                // The sockets of a process that ends close before its end is known; one that lives on has misbehaved.
                if tokio::time::timeout(CLOSING, session.gone.cancelled()).await.is_err() {
                    self.report_hung(session.generation, "it closed its connection".into()).await;
                }
                Err(Miss::Crashed)
            }
        }
    }

    /// A storage process must open its pool before anything else; what fails is tried again by the next call.
    async fn open_pool(&self, session: &Session) -> Result<(), Miss> {
        let (DriverClient::Storage(client), Some(pool)) = (&session.driver, &self.spec.name.pool) else {
            return Ok(());
        };
        let open = async || {
            let Some(config) = self.spec.environment.handles.pool_config(pool) else { return Ok(()) };
            let opening = Method { name: "open_pool", deadline: OPENING, object: None };
            let request = context(logging::current_request(), opening.deadline.limit());
            let failed = match self.answered(session, opening, client.open_pool(request, pool.clone(), config)).await {
                Ok(Ok(())) => {
                    self.spec.notice(Notice::PoolOpened);
                    return Ok(());
                }
                Ok(Err(error)) => error.context(format!("pool `{pool}` cannot be opened")),
                Err(Miss::Final(error)) => error,
                Err(Miss::Crashed) => return Err(Miss::Crashed),
            };
            self.spec.notice(Notice::PoolClosed { why: failed.to_string() });
            Err(Miss::Final(failed))
        };
        session.opened.get_or_try_init(open).await.map(drop)
    }

    /// Waits until hulld has noticed that the process is gone, so that the next attempt gets another one.
    async fn farewell(&self, session: &Session) {
        // Past the bound the next attempt meets the same process and fails the same way, which is counted.
        let _ = tokio::time::timeout(FAREWELL, session.gone.cancelled()).await;
    }

    fn what(&self, method: Method<'_>) -> String {
        let object = method.object.map(|object| format!(" for {object}")).unwrap_or_default();
        format!("`{}` of plugin `{}`{object}", method.name, self.spec.name)
    }

    fn too_late(&self, method: Method<'_>, silence: Option<DriverError>) -> DriverError {
        let limit = match method.deadline {
            Deadline::Within(_) => format!("within {:?}", method.deadline.limit()),
            Deadline::WhileAlive | Deadline::OnceWhileAlive => "and no progress".into(),
        };
        let error = DriverError::new(Code::DeadlineExceeded, format!("{} gave no answer {limit}", self.what(method)));
        match silence {
            Some(silence) => error.because(silence).because("the process was killed and is restarted"),
            None => error.because("the process lives; the call was cancelled"),
        }
    }
}

/// Resolves when a bulk call has shown no progress and the process no life; never for calls with a deadline of their own.
async fn silent(session: &Session, deadline: Deadline) -> DriverError {
    if let Deadline::Within(_) = deadline {
        return std::future::pending().await;
    }
    let (silence, stalled) = (SILENCE.min(longest()), STALLED.min(longest()));
    let begun = tokio::time::Instant::now();
    loop {
        let asked = tokio::time::Instant::now();
        tokio::time::sleep_until(asked + silence).await;
        let quiet = session.heartbeat.silent_for().min(begun.elapsed());
        if quiet < silence {
            continue;
        }
        if let Err(error) = session.health(BUSY_SIGN_OF_LIFE).await {
            return error;
        }
        if quiet >= stalled {
            let message = format!("it says it is well, but has made no progress for {} s", quiet.as_secs());
            return DriverError::new(Code::DeadlineExceeded, message);
        }
    }
}

fn deaf() -> DriverError {
    DriverError::new(Code::Unavailable, "it says it is well, but answers no calls")
}

/// The bound on every deadline: none, but for tests of what happens when one passes, which would take minutes
/// (`HULL_TEST_LONGEST_CALL`, in milliseconds).
pub(super) fn longest() -> Duration {
    static LONGEST: std::sync::LazyLock<Duration> = std::sync::LazyLock::new(|| {
        let text = std::env::var("HULL_TEST_LONGEST_CALL").ok();
        text.and_then(|text| text.parse().ok()).map_or(MAX_DEADLINE, Duration::from_millis)
    });
    *LONGEST
}
