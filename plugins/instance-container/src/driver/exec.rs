//! Running a command in a container.

use std::os::fd::OwnedFd;

use hull_plugin::instance::{ExecSpec, ExecStreams, Executed};
use hull_plugin::{Code, DriverError, ProcessFd, StreamFd};
use instance_container::order::{Exec, Order, Report};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use crate::cgroup;
use crate::driver::Container;
use crate::helper::{Channel, explain};
use crate::table::Running;

impl Container {
    pub(crate) async fn exec(&self, spec: ExecSpec, streams: ExecStreams) -> Result<Executed, DriverError> {
        if spec.command.is_empty() {
            return Err(DriverError::invalid("command", "no command is given"));
        }
        let running = self.table().running(&spec.instance)?;
        let streams = Streams::make(streams)?;
        let (status, status_writer) = pipe()?;
        let order = Order::Exec(Box::new(order(spec, &streams, &running)?));
        let mut descriptors = vec![running.init()?];
        descriptors.extend(streams.theirs);
        descriptors.push(status_writer);
        let channel = self.helper().order(&order, descriptors)?;
        let (process, terminal) = receive(&channel).await?;
        let [stdin, stdout, stderr] = streams.ours.map(|end| end.map(StreamFd::new));
        Ok(Executed {
            process: ProcessFd::new(process),
            status: StreamFd::new(status),
            terminal,
            stdin,
            stdout,
            stderr,
        })
    }
}

fn order(spec: ExecSpec, streams: &Streams, running: &Running) -> Result<Exec, DriverError> {
    let groups = cgroup::groups(&running.record.cgroup)?;
    Ok(Exec {
        command: spec.command,
        environment: spec.environment.into_iter().collect(),
        user: spec.user,
        group: spec.group,
        directory: spec.directory,
        terminal: streams.terminal,
        legacy_cgroups: groups.legacy,
        unified_cgroup: groups.unified,
        confinement: running.confinement.clone(),
    })
}

/// The reports until the command executes: its process, and its terminal's master if it has one.
async fn receive(channel: &Channel) -> Result<(OwnedFd, Option<StreamFd>), DriverError> {
    let (mut process, mut terminal, mut failure) = (None, None, None);
    while let Some((report, mut descriptors)) = channel.receive().await? {
        match report {
            Report::Started { .. } => process = descriptors.pop(),
            Report::Terminal => terminal = descriptors.pop().map(StreamFd::new),
            Report::Failed(why) => failure = Some(why),
            other => tracing::warn!(?other, "unexpected report"),
        }
    }
    match (failure, process) {
        (Some(failure), _) => Err(explain(&failure)),
        (None, Some(process)) => Ok((process, terminal)),
        (None, None) => Err(DriverError::new(Code::Internal, "hull-init ended without running the command")),
    }
}

/// The command's standard streams: its ends, and those the caller gets.
struct Streams {
    terminal: Option<(u16, u16)>,
    theirs: Vec<OwnedFd>,
    ours: [Option<OwnedFd>; 3],
}

impl Streams {
    fn make(streams: ExecStreams) -> Result<Self, DriverError> {
        Ok(match streams {
            ExecStreams::Terminal(size) => {
                Self { terminal: Some((size.columns, size.rows)), theirs: Vec::new(), ours: [None, None, None] }
            }
            ExecStreams::Pipes => {
                let ((stdin, to), (from, stdout), (errors, stderr)) = (pipe()?, pipe()?, pipe()?);
                Self { terminal: None, theirs: vec![stdin, stdout, stderr], ours: [Some(to), Some(from), Some(errors)] }
            }
            ExecStreams::Given { stdin, stdout, stderr } => {
                let theirs = [stdin, stdout, stderr].map(StreamFd::into_owned).into();
                Self { terminal: None, theirs, ours: [None, None, None] }
            }
        })
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), DriverError> {
    pipe2(OFlag::O_CLOEXEC).map_err(|error| DriverError::system(&error.into(), "cannot make a pipe"))
}
