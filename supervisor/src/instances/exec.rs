//! Commands in an instance. The streams go from the driver's descriptors to the gateway's websockets; hulld only starts the
//! command; what follows until its end is in [`super::exec_follow`].

use std::os::fd::OwnedFd;
use std::sync::Arc;

use axum::response::Response;
use hull_api::InstanceExecPost;
use hull_gateway_contract::Upgrade;
use hull_plugin::instance::{ExecSpec, ExecStreams, Executed, TerminalSize};
use hull_plugin::{Code, ConfigMap, DriverError, OperationId, ProcessFd, SocketFd, StreamFd};
use hull_sys::message;
use serde_json::{Map, Value, json};

use super::exec_follow::Following;
use super::logs::Recording;
use super::registry::{Entry, Live};
use super::{cgroup, expand};
use crate::api::ApiError;
use crate::hull::Hull;
use crate::operations::{Class, Handle, Spec};

/// What a shell reports for a program that is not there, and for one that cannot be run.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

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
    if command.post.wait_for_websocket { command.with_websockets().await } else { command.without().await }
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
        let spec = self.operation(Class::Websocket);
        let admitted = self.hull.operations.admit(&spec)?;
        let executed = driver.exec(&OperationId::random(), &self.spec(), &streams).await;
        let (control, theirs) = message::packet_pair().map_err(no_descriptor)?;
        let (mut ends, following) = match executed {
            Ok(mut executed) => {
                let ends = {
                    let mut streams = executed_streams(&mut executed);
                    let terminal = executed.terminal.as_ref().map(|terminal| (terminal, &executed.process));
                    self.data_ends(terminal, Some(&mut streams))?
                };
                (ends, Following::new(executed, Some(control)).map_err(no_descriptor)?)
            }
            // The client is told by the exit status, as by a shell, once its websockets have ended.
            Err(error) => match shell_status(&error) {
                Some(ended) => (self.data_ends(None, None)?, Following::ended(ended, control)),
                None => return Err(error.into()),
            },
        };
        ends.push(("control", Upgrade::Messages(SocketFd::new(theirs))));
        let (metadata, ends) = self.announce(ends);
        let lasting = following.lasting().map_err(no_descriptor)?;
        let (operations, tasks) = (self.hull.operations.clone(), self.hull.tasks.clone());
        let work = move |operation| following.run(tasks, operation);
        operations.start_lasting(admitted, spec, metadata, ends, lasting, work).await
    }

    /// Nobody watches: the streams are `/dev/null`, or recorded in files.
    async fn without(self) -> Result<Response, ApiError> {
        let null = || std::fs::File::options().read(true).write(true).open("/dev/null").map(StreamFd::new);
        let stdin = null().map_err(no_descriptor)?;
        let spec = self.operation(Class::Task);
        let (operations, tasks) = (self.hull.operations.clone(), self.hull.tasks.clone());
        if self.post.record_output {
            return operations.start(spec, move |operation| async move { self.recorded(stdin, &operation).await });
        }
        let (stdout, stderr) = (null().map_err(no_descriptor)?, null().map_err(no_descriptor)?);
        let streams = ExecStreams::Given { stdin, stdout, stderr };
        let driver = self.hull.plugins.instance(&self.entry.record().driver)?;
        let admitted = operations.admit(&spec)?;
        match driver.exec(&OperationId::random(), &self.spec(), &streams).await {
            Ok(executed) => {
                let following = Following::new(executed, None).map_err(no_descriptor)?;
                let lasting = following.lasting().map_err(no_descriptor)?;
                let work = move |operation| following.run(tasks, operation);
                operations.start_lasting(admitted, spec, Map::new(), Vec::new(), lasting, work).await
            }
            Err(error) => operations
                .start(spec, move |operation| async move { report(&operation, shell_status(&error).ok_or(error)?) }),
        }
    }

    async fn recorded(self, stdin: StreamFd, operation: &Handle) -> Result<(), ApiError> {
        let (hull, name) = (&self.hull, self.entry.record().name.clone());
        let (out, stdout, out_url) = Recording::start(hull, &name, operation.id(), "stdout").await?;
        let (err, stderr, err_url) = Recording::start(hull, &name, operation.id(), "stderr").await?;
        let ended = self.unwatched(ExecStreams::Given { stdin, stdout, stderr }, operation).await;
        out.finish().await?;
        err.finish().await?;
        operation.update(Map::from_iter([("output".to_owned(), json!({"1": out_url, "2": err_url}))]));
        report(operation, ended?)
    }

    async fn unwatched(&self, streams: ExecStreams, operation: &Handle) -> Result<Ended, ApiError> {
        let driver = self.hull.plugins.instance(&self.entry.record().driver)?;
        match driver.exec(operation.id(), &self.spec(), &streams).await {
            Ok(executed) => Following::new(executed, None).map_err(no_descriptor)?.end(operation).await,
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
        terminal: Option<(&StreamFd, &ProcessFd)>,
        streams: Option<&mut [Option<StreamFd>; 3]>,
    ) -> Result<Vec<(&'static str, Upgrade)>, ApiError> {
        if self.post.interactive {
            let upgrade = match terminal {
                Some((terminal, process)) => Upgrade::Terminal {
                    terminal: terminal.try_clone().map_err(no_descriptor)?,
                    process: process.try_clone().map_err(no_descriptor)?,
                },
                None => Upgrade::Stream { output: Some(ended_stream().map_err(no_descriptor)?), input: None },
            };
            return Ok(vec![("0", upgrade)]);
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
    fn announce(&self, ends: Vec<(&'static str, Upgrade)>) -> (Map<String, Value>, Vec<(String, Upgrade)>) {
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
        (metadata, websockets)
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

/// How a command ended, or why it never began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// A shell's exit code: that of the program, or 128 and the signal that ended it.
    Code(i32),
    NotFound,
    NotExecutable,
}

impl Ended {
    /// What a shell reports.
    pub(super) fn number(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::NotFound => NOT_FOUND,
            Self::NotExecutable => NOT_EXECUTABLE,
        }
    }

    /// A command that never began, by that number.
    pub(super) fn unbegun(number: i32) -> Self {
        match number {
            NOT_FOUND => Self::NotFound,
            NOT_EXECUTABLE => Self::NotExecutable,
            code => Self::Code(code),
        }
    }
}

fn shell_status(error: &DriverError) -> Option<Ended> {
    match (error.code, error.key.as_deref()) {
        (Code::NotFound, Some("command")) => Some(Ended::NotFound),
        (Code::Permission, Some("command")) => Some(Ended::NotExecutable),
        _ => None,
    }
}

pub(super) fn report(operation: &Handle, ended: Ended) -> Result<(), ApiError> {
    operation.update(Map::from_iter([("return".to_owned(), json!(ended.number()))]));
    match ended {
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

pub(super) fn no_descriptor(error: impl std::fmt::Display) -> ApiError {
    ApiError::internal(format!("cannot set up the command's streams: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
