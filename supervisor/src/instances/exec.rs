//! Commands in an instance. The streams go from the driver's descriptors to the gateway's websockets; hulld only starts the
//! command, forwards window sizes and signals, and learns how it ended.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use axum::response::Response;
use hull_api::InstanceExecPost;
use hull_gateway_contract::Upgrade;
use hull_plugin::instance::{ExecSpec, ExecStreams, Executed, TerminalSize};
use hull_plugin::{Code, ConfigMap, DriverError, OperationId, ProcessFd, SocketFd, StreamFd};
use hull_sys::message;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::exec_control::{self, Controlled};
use super::logs::Recording;
use super::registry::{Entry, Live};
use super::{cgroup, expand};
use crate::api::ApiError;
use crate::hull::Hull;
use crate::operations::{Class, Handle, Spec, Websockets};
use crate::sys::{Packets, read_pipe};

/// `POST /1.0/instances/NAME/exec`
pub(super) async fn exec(hull: &Hull, entry: Arc<Entry>, post: InstanceExecPost) -> Result<Response, ApiError> {
    match entry.live() {
        Live::Stopped => return Err(ApiError::bad_request("Instance is not running")),
        Live::Frozen(_) => return Err(ApiError::bad_request("Instance is frozen")),
        Live::Running(_) => {}
    }
    if post.command.is_empty() {
        return Err(ApiError::bad_request("No command given"));
    }
    let context = json!({"command": post.command});
    hull.events.lifecycle_with("instance-exec", &entry.record().name.url(), context);
    let command = Command { hull: hull.clone(), entry, post };
    if command.post.wait_for_websocket { command.with_websockets().await } else { command.without() }
}

struct Command {
    hull: Hull,
    entry: Arc<Entry>,
    post: InstanceExecPost,
}

impl Command {
    /// Starts at once: what it prints before a client is connected waits in its pipe or terminal.
    async fn with_websockets(self) -> Result<Response, ApiError> {
        let streams = self.size().map_or(ExecStreams::Pipes, ExecStreams::Terminal);
        let driver = self.hull.plugins.instance(&self.entry.record().driver)?;
        let executed = driver.exec(&OperationId::random(), &self.spec(), &streams).await;
        let (ours, theirs) = message::packet_pair().map_err(no_descriptor)?;
        let control = Packets::new(ours).map_err(no_descriptor)?;
        let done = CancellationToken::new();
        let (mut ends, status) = match executed {
            Ok(mut executed) => {
                let ends = {
                    let mut streams = executed_streams(&mut executed);
                    self.data_ends(executed.terminal.as_ref(), Some(&mut streams))?
                };
                let process = executed.process.try_clone().map_err(no_descriptor)?;
                let controlled = Controlled { terminal: executed.terminal, process: executed.process };
                self.hull.tasks.spawn(exec_control::serve(control, controlled, done.clone()));
                (ends, Status::Running(executed.status, process))
            }
            // The client is told by the exit status, as by a shell, once its websockets have ended.
            Err(error) => match shell_status(&error) {
                Some(ended) => (self.data_ends(None, None)?, Status::Known(ended)),
                None => return Err(error.into()),
            },
        };
        ends.push(("control", Upgrade::Messages(SocketFd::new(theirs))));
        let (metadata, websockets) = self.announce(ends);
        let operations = self.hull.operations.clone();
        operations.start_with(
            self.operation(Class::Websocket),
            metadata,
            Some(websockets),
            move |operation| async move {
                let code = status.wait(&operation).await;
                done.cancel();
                report(&operation, code)
            },
        )
    }

    /// Nobody watches: the streams are `/dev/null`, or recorded in files.
    fn without(self) -> Result<Response, ApiError> {
        let operations = self.hull.operations.clone();
        operations.start(self.operation(Class::Task), move |operation| async move {
            let null = || std::fs::File::options().read(true).write(true).open("/dev/null").map(StreamFd::new);
            let stdin = null().map_err(no_descriptor)?;
            if self.post.record_output {
                return self.recorded(stdin, &operation).await;
            }
            let (stdout, stderr) = (null().map_err(no_descriptor)?, null().map_err(no_descriptor)?);
            let code = self.unwatched(ExecStreams::Given { stdin, stdout, stderr }, &operation).await;
            report(&operation, code)
        })
    }

    async fn recorded(self, stdin: StreamFd, operation: &Handle) -> Result<(), ApiError> {
        let (hull, name) = (&self.hull, self.entry.record().name.clone());
        let (out, stdout, out_url) = Recording::start(hull, &name, operation.id(), "stdout").await?;
        let (err, stderr, err_url) = Recording::start(hull, &name, operation.id(), "stderr").await?;
        let code = self.unwatched(ExecStreams::Given { stdin, stdout, stderr }, operation).await;
        out.finish().await?;
        err.finish().await?;
        operation.update(Map::from_iter([("output".to_owned(), json!({"1": out_url, "2": err_url}))]));
        report(operation, code)
    }

    async fn unwatched(&self, streams: ExecStreams, operation: &Handle) -> Result<Ended, ApiError> {
        let driver = self.hull.plugins.instance(&self.entry.record().driver)?;
        match driver.exec(operation.id(), &self.spec(), &streams).await {
            Ok(executed) => Status::Running(executed.status, executed.process).wait(operation).await,
            Err(error) => Ok(shell_status(&error).ok_or(error)?),
        }
    }

    fn operation(&self, class: Class) -> Spec {
        let url = self.entry.record().name.url();
        let spec = Spec::task("Executing command", "instances", url.clone()).also("containers", url);
        Spec { class, ..spec }.cancellable()
    }

    fn size(&self) -> Option<TerminalSize> {
        let cut = |number: i64, default: u16| u16::try_from(number).ok().filter(|n| *n > 0).unwrap_or(default);
        self.post
            .interactive
            .then(|| TerminalSize { columns: cut(self.post.width, 80), rows: cut(self.post.height, 24) })
    }

    fn environment(&self) -> ConfigMap {
        let (config, _) = expand::expand(&self.hull, &self.entry.record());
        environment(&config, &self.post)
    }

    fn spec(&self) -> ExecSpec {
        let record = self.entry.record();
        let environment = self.environment();
        // At home, unless it is said where; a directory that is not there is the root's.
        let home = environment.get("HOME").filter(|_| self.post.cwd.is_empty());
        let directory = home.unwrap_or(&self.post.cwd).clone();
        ExecSpec {
            instance: record.name.id(),
            command: self.post.command.clone(),
            environment,
            user: self.post.user,
            group: self.post.group,
            directory,
            terminal: self.size(),
            cgroup: cgroup::path(&self.hull, &record.name.id()),
        }
    }

    /// The websockets by LXD's names: `0` alone for a terminal, else `0`, `1` and `2`. Without streams they end at once.
    fn data_ends(
        &self,
        terminal: Option<&StreamFd>,
        streams: Option<&mut [Option<StreamFd>; 3]>,
    ) -> Result<Vec<(&'static str, Upgrade)>, ApiError> {
        if self.post.interactive {
            let copy = || terminal.map_or_else(ended_stream, StreamFd::try_clone).map_err(no_descriptor);
            let input = terminal.is_some().then(copy).transpose()?;
            return Ok(vec![("0", Upgrade::Stream { output: Some(copy()?), input })]);
        }
        let mut taken = streams.map(std::mem::take).unwrap_or_default();
        let mut output = |index: usize| taken[index].take().map_or_else(ended_stream, Ok).map_err(no_descriptor);
        let (stdout, stderr) = (output(1)?, output(2)?);
        Ok(vec![
            ("0", Upgrade::Stream { output: None, input: taken[0].take() }),
            ("1", Upgrade::Stream { output: Some(stdout), input: None }),
            ("2", Upgrade::Stream { output: Some(stderr), input: None }),
        ])
    }

    /// Gives every end a secret; the client finds them in the operation's metadata.
    fn announce(&self, ends: Vec<(&'static str, Upgrade)>) -> (Map<String, Value>, Arc<Websockets>) {
        let (mut secrets, mut websockets) = (Map::new(), Vec::new());
        for (name, end) in ends {
            let secret = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
            secrets.insert(name.to_owned(), Value::String(secret.clone()));
            websockets.push((secret, end));
        }
        let mut shown = self.environment();
        shown.retain(|name, _| name != "container" || self.post.environment.contains_key(name));
        let metadata = [
            ("fds", Value::Object(secrets)),
            ("command", json!(self.post.command)),
            ("environment", json!(shown)),
            ("interactive", json!(self.post.interactive)),
        ];
        let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        (metadata, Websockets::new(websockets))
    }
}

/// LXD's defaults, the instance's `environment.*`, then the request's.
fn environment(config: &ConfigMap, post: &InstanceExecPost) -> ConfigMap {
    let mut result = ConfigMap::new();
    let mut set = |key: &str, value: &str| result.insert(key.to_owned(), value.to_owned());
    set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    set("LANG", "C.UTF-8");
    set("container", "lxc");
    if post.user == 0 {
        set("HOME", "/root");
        set("USER", "root");
    }
    result.extend(
        config
            .iter()
            .filter_map(|(key, value)| key.strip_prefix("environment.").map(|name| (name.to_owned(), value.clone()))),
    );
    result.extend(post.environment.clone());
    result
}

enum Status {
    Running(StreamFd, ProcessFd),
    Known(Ended),
}

/// How a command ended, or why it never began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// A shell's exit code: that of the program, or 128 and the signal that ended it.
    Code(i32),
    NotFound,
    NotExecutable,
}

impl Ended {
    /// What a shell reports.
    fn number(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::NotFound => 127,
            Self::NotExecutable => 126,
        }
    }
}

impl Status {
    /// Who cancels the operation kills the command.
    async fn wait(self, operation: &Handle) -> Result<Ended, ApiError> {
        let (pipe, process) = match self {
            Self::Known(ended) => return Ok(ended),
            Self::Running(pipe, process) => (pipe, process),
        };
        let reading = read_pipe(pipe.into_owned(), 4);
        tokio::pin!(reading);
        let bytes = tokio::select! {
            bytes = &mut reading => bytes,
            () = operation.given_up() => {
                // One that has ended this moment is what was wanted.
                let _ = hull_sys::process::signal(&process, Some(nix::sys::signal::Signal::SIGKILL));
                drop(reading.await);
                return Err(ApiError::bad_request("The operation was cancelled: the command was killed"));
            }
        };
        let bytes = bytes.map_err(no_descriptor)?;
        let raw: [u8; 4] = bytes
            .try_into()
            .map_err(|_| ApiError::internal("the command's exit status is not known: its helper ended"))?;
        Ok(Ended::Code(shell_code(i32::from_le_bytes(raw))))
    }
}

fn shell_code(wait_status: i32) -> i32 {
    match wait_status & 0x7f {
        0 => (wait_status >> 8) & 0xff,
        signal => 128 + signal,
    }
}

fn shell_status(error: &DriverError) -> Option<Ended> {
    match (error.code, error.key.as_deref()) {
        (Code::NotFound, Some("command")) => Some(Ended::NotFound),
        (Code::Permission, Some("command")) => Some(Ended::NotExecutable),
        _ => None,
    }
}

fn report(operation: &Handle, code: Result<Ended, ApiError>) -> Result<(), ApiError> {
    let code = code?;
    operation.update(Map::from_iter([("return".to_owned(), json!(code.number()))]));
    match code {
        Ended::Code(_) => Ok(()),
        Ended::NotFound => Err(ApiError::bad_request("Command not found")),
        Ended::NotExecutable => Err(ApiError::bad_request("Command not executable")),
    }
}

fn executed_streams(executed: &mut Executed) -> [Option<StreamFd>; 3] {
    [executed.stdin.take(), executed.stdout.take(), executed.stderr.take()]
}

/// The reading end of a pipe that nobody writes to: its end comes at once.
fn ended_stream() -> std::io::Result<StreamFd> {
    let (reader, _writer): (OwnedFd, OwnedFd) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    Ok(StreamFd::new(reader))
}

fn no_descriptor(error: impl std::fmt::Display) -> ApiError {
    ApiError::internal(format!("cannot set up the command's streams: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_a_shells() {
        assert_eq!(shell_code(0), 0);
        assert_eq!(shell_code(42 << 8), 42);
        assert_eq!(shell_code(9), 137);
        assert_eq!(shell_code(11 | 0x80), 139); // with a core dump
    }

    #[test]
    fn the_request_wins_over_the_instance_over_the_defaults() {
        let config =
            ConfigMap::from([("environment.LANG".into(), "de_DE".into()), ("environment.A".into(), "1".into())]);
        let environment_of = ConfigMap::from([("A".into(), "2".into())]);
        let post = InstanceExecPost { environment: environment_of, ..InstanceExecPost::default() };
        let result = environment(&config, &post);
        assert_eq!((result["LANG"].as_str(), result["A"].as_str(), result["HOME"].as_str()), ("de_DE", "2", "/root"));
    }
}
