//! A running command, until its end: it, its streams and its operation outlive the supervisor.
//!
//! The command is nobody's child here, its streams are the gateway's, and its exit status waits in a pipe. So all that a
//! supervisor does is in [`Following`], and the next one goes on with the same descriptors from the keeper's store.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use hull_plugin::instance::Executed;
use hull_plugin::{ProcessFd, StreamFd};
use serde_json::json;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::exec::{Ended, no_descriptor, report};
use super::exec_control::{self, Controlled};
use crate::api::ApiError;
use crate::hull::Hull;
use crate::operations::{Handle, Kept, Lasting};
use crate::sys::Packets;

/// How the operation's record calls this work.
const KIND: &str = "exec";
/// The part of the control websocket: released when its client has gone, since a kept terminal never hangs up.
const CONTROL: &str = "control";

/// What is needed to see a command through.
pub(super) struct Following {
    status: Status,
    control: Option<(OwnedFd, Option<Controlled>)>,
}

enum Status {
    Running(StreamFd, ProcessFd),
    Known(Ended),
}

impl Following {
    pub(super) fn new(executed: Executed, control: Option<OwnedFd>) -> io::Result<Self> {
        let status = Status::Running(executed.status, executed.process.try_clone()?);
        let controlled = Controlled { terminal: executed.terminal, process: executed.process };
        Ok(Self { status, control: control.map(|control| (control, Some(controlled))) })
    }

    /// A command that could not be started.
    pub(super) fn ended(ended: Ended, control: OwnedFd) -> Self {
        Self { status: Status::Known(ended), control: Some((control, None)) }
    }

    /// The same for the next supervisor.
    pub(super) fn lasting(&self) -> io::Result<Lasting> {
        let (work, status) = match &self.status {
            Status::Running(status, process) => {
                let kept = [process.as_fd(), status.as_fd()].map(|fd| fd.try_clone_to_owned());
                (json!({"kind": KIND}), kept.into_iter().collect::<io::Result<_>>()?)
            }
            Status::Known(ended) => (json!({"kind": KIND, "code": ended.number()}), Vec::new()),
        };
        let mut parts = vec![(String::new(), status)];
        if let Some((control, controlled)) = &self.control {
            let mut kept = vec![control.try_clone()?];
            if let Some(Controlled { process, terminal }) = controlled {
                kept.push(process.as_fd().try_clone_to_owned()?);
                kept.extend(terminal.as_ref().map(|terminal| terminal.as_fd().try_clone_to_owned()).transpose()?);
            }
            parts.push((CONTROL.to_owned(), kept));
        }
        Ok(Lasting { work, parts })
    }

    /// From what an earlier supervisor has left. `None`: that is incomplete.
    fn kept(kept: &mut Kept) -> Option<Self> {
        let status = match kept.work["code"].as_i64() {
            Some(code) => Status::Known(Ended::unbegun(i32::try_from(code).ok()?)),
            None => {
                let status = StreamFd::new(kept.descriptors.pop()?);
                Status::Running(status, ProcessFd::new(kept.descriptors.pop()?))
            }
        };
        let mut control = kept.part(CONTROL).into_iter();
        let socket = control.next();
        let controlled = control.next().map(|process| Controlled {
            process: ProcessFd::new(process),
            terminal: control.next().map(StreamFd::new),
        });
        Some(Self { status, control: socket.map(|socket| (socket, controlled)) })
    }

    /// Obeys the control websocket, and ends with the command.
    pub(super) async fn run(self, tasks: TaskTracker, operation: Handle) -> Result<(), ApiError> {
        let done = CancellationToken::new();
        if let Some((control, controlled)) = self.control {
            let control = Packets::new(control).map_err(no_descriptor)?;
            let (operation, done) = (operation.clone(), done.clone());
            tasks.spawn(async move {
                match controlled {
                    Some(controlled) => exec_control::serve(control, controlled, done).await,
                    None => done.cancelled().await,
                }
                operation.release(CONTROL).await;
            });
        }
        let ended = self.status.wait(&operation).await;
        done.cancel();
        report(&operation, ended?)
    }

    /// Waits for the end of a command that has no control websocket.
    pub(super) async fn end(self, operation: &Handle) -> Result<Ended, ApiError> {
        self.status.wait(operation).await
    }
}

/// Goes on with a command that an earlier supervisor started; gives anything else back.
pub(crate) fn go_on_with_commands(hull: &Hull, mut kept: Kept) -> Option<Kept> {
    if kept.work["kind"] != KIND {
        return Some(kept);
    }
    let (following, tasks) = (Following::kept(&mut kept), hull.tasks.clone());
    hull.operations.go_on(kept, move |operation| async move {
        let lost = || ApiError::internal("what hulld knew of the command did not survive its restart");
        following.ok_or_else(lost)?.run(tasks, operation).await
    });
    None
}

impl Status {
    /// Who cancels the operation kills the command.
    async fn wait(self, operation: &Handle) -> Result<Ended, ApiError> {
        let (pipe, process) = match self {
            Self::Known(ended) => return Ok(ended),
            Self::Running(pipe, process) => (pipe.into_owned(), process),
        };
        let mut pipe = pipe::Receiver::from_owned_fd(pipe).map_err(no_descriptor)?;
        let cancelled = tokio::select! {
            ready = pipe.ready(Interest::READABLE) => ready.map(|_| false).map_err(no_descriptor)?,
            () = operation.given_up() => true,
        };
        if cancelled {
            // One that has ended this moment is what was wanted.
            let _ = hull_sys::process::signal(&process, Some(nix::sys::signal::Signal::SIGKILL));
            pipe.ready(Interest::READABLE).await.map_err(no_descriptor)?;
        }
        operation.finishing().await;
        if cancelled {
            return Err(ApiError::bad_request("The operation was cancelled: the command was killed"));
        }
        let mut raw = [0; 4];
        let read = pipe.read_exact(&mut raw).await;
        read.map_err(|_| ApiError::internal("the command's exit status is not known: its helper ended"))?;
        Ok(Ended::Code(shell_code(i32::from_le_bytes(raw))))
    }
}

fn shell_code(wait_status: i32) -> i32 {
    match wait_status & 0x7f {
        0 => (wait_status >> 8) & 0xff,
        signal => 128 + signal,
    }
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
}
