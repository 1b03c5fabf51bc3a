//! `hull exec`: what to run and how, and what became of it.

use super::streams::copy_in;
use super::streams::copy_out;
use super::terminal::RawTerminal;
use super::terminal::size;
use super::{control, streams};
use crate::client::{Server, Socket, url};
use crate::commands::Exit;
use crate::context::Context;
use anyhow::{Context as _, Result, bail};
use http::Method;
use hull_api::{InstanceExecPost, Operation};
use serde_json::Value;
use std::io::IsTerminal;
use tokio_util::task::AbortOnDropHandle;

/// Run a command inside an instance
///
/// There is no shell around the command: write `hull exec NAME -- sh -c "cd /tmp && pwd"` for one. Flags of the command itself
/// come after `--`. A terminal is used if both stdin and stdout are one.
#[derive(Debug, clap::Args)]
pub(crate) struct Exec {
    #[arg(value_name = "[REMOTE:]INSTANCE")]
    instance: String,
    #[arg(value_name = "COMMAND", required = true)]
    command: Vec<String>,
    /// Folder to run in; `/` if there is no such folder, as LXD does [default: the home of the user]
    #[arg(long)]
    cwd: Option<String>,
    /// Give the command no input
    #[arg(short = 'n', long)]
    disable_stdin: bool,
    /// A variable of the environment, as NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Use a terminal
    #[arg(short = 't', long)]
    force_interactive: bool,
    /// Use no terminal
    #[arg(short = 'T', long)]
    force_noninteractive: bool,
    /// Id of the group to run as
    #[arg(long, default_value_t = 0)]
    group: u32,
    /// One of auto, interactive, non-interactive
    #[arg(long, default_value = "auto")]
    mode: String,
    /// Id of the user to run as
    #[arg(long, default_value_t = 0)]
    user: u32,
}

impl Exec {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, instance) = cx.locate(&self.instance)?;
        let interactive = self.interactive()?;
        let disable_stdin = self.disable_stdin;
        let request = self.request(interactive)?;
        let path = url(&["instances", &instance, "exec"]);
        let operation = server.start(Method::POST, &path, &request, "").await?;
        let operation = operation.context("the server ran the command without an operation")?;
        let raw = if interactive { RawTerminal::enter() } else { None };
        let finished = attach(&server, &operation, interactive, disable_stdin).await;
        drop(raw);
        match returned(&finished?)? {
            0 => Ok(()),
            code => Err(ended(code)),
        }
    }

    fn interactive(&self) -> Result<bool> {
        if self.force_interactive && self.force_noninteractive {
            bail!("You can't pass -t and -T at the same time");
        }
        if self.mode != "auto" && (self.force_interactive || self.force_noninteractive) {
            bail!("You can't pass -t or -T at the same time as --mode");
        }
        Ok(match self.mode.as_str() {
            _ if self.force_interactive => true,
            _ if self.force_noninteractive => false,
            "interactive" => true,
            "non-interactive" => false,
            "auto" => !self.disable_stdin && std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
            _ => false, // LXD's client takes any other word for "non-interactive"
        })
    }

    fn request(self, interactive: bool) -> Result<InstanceExecPost> {
        let mut environment: hull_api::Config = self.env.iter().map(|word| variable(word)).collect();
        if let Ok(terminal) = std::env::var("TERM") {
            environment.entry("TERM".to_owned()).or_insert(terminal);
        }
        let (width, height) = if interactive { size().unwrap_or((80, 24)) } else { (0, 0) };
        Ok(InstanceExecPost {
            command: self.command,
            wait_for_websocket: true,
            interactive,
            environment,
            width: i64::from(width),
            height: i64::from(height),
            record_output: false,
            user: self.user,
            group: self.group,
            cwd: self.cwd.unwrap_or_default(),
        })
    }
}

/// Connects the streams of `operation` with ours until the command is over, and returns its last state.
async fn attach(server: &Server, operation: &Operation, interactive: bool, disable_stdin: bool) -> Result<Operation> {
    let secret = |name: &str| {
        let secrets = operation.metadata.get("fds").and_then(|secrets| secrets.get(name));
        secrets
            .and_then(Value::as_str)
            .map(str::to_owned)
            .with_context(|| format!("the server gave no secret for stream `{name}`"))
    };
    let control = server.websocket(operation, &secret("control")?).await?;
    let first = server.websocket(operation, &secret("0")?).await?;
    let wait_path = url(&["operations", &operation.id, "wait"]);
    let end = server.get::<Operation>(&wait_path);
    let _control = AbortOnDropHandle::new(tokio::spawn(control::serve(control, control::SIGNALS, interactive)));
    if interactive {
        let Socket { sender, receiver } = first;
        let _input = AbortOnDropHandle::new(tokio::spawn(copy_in(sender, disable_stdin)));
        // At the same time: who reads slowly would ask when the operation is forgotten.
        let ((), end) = tokio::try_join!(copy_out(receiver, tokio::io::stdout()), end)?;
        return Ok(end);
    }
    let stdout = server.websocket(operation, &secret("1")?).await?;
    let stderr = server.websocket(operation, &secret("2")?).await?;
    let _input = AbortOnDropHandle::new(tokio::spawn(copy_in(first.sender, disable_stdin)));
    let ((), (), end) = tokio::try_join!(
        streams::copy_out_and_close(stdout, tokio::io::stdout()),
        streams::copy_out_and_close(stderr, tokio::io::stderr()),
        end
    )?;
    Ok(end)
}

/// The status of the command, or what kept it from running.
fn returned(operation: &Operation) -> Result<i64> {
    if let Some(code) = operation.metadata.get("return").and_then(Value::as_i64) {
        if code == 0 || operation.err.is_empty() {
            return Ok(code);
        }
        return Err(Exit { status: u8::try_from(code).unwrap_or(1), message: Some(operation.err.clone()) }.into());
    }
    if operation.err.is_empty() { Ok(0) } else { bail!("{}", operation.err) }
}

/// `NAME=VALUE`; a name alone is a variable without a value.
fn variable(word: &str) -> (String, String) {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    (name.to_owned(), value.to_owned())
}

fn ended(code: i64) -> anyhow::Error {
    let status = u8::try_from(code).unwrap_or(255);
    Exit { status, message: None }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_status_comes_from_the_operation() {
        let operation = Operation { metadata: json!({"return": 3}), ..Operation::default() };
        assert_eq!(returned(&operation).unwrap(), 3);
        let missing =
            Operation { metadata: json!({"return": 127}), err: "Command not found".into(), ..Operation::default() };
        let error = returned(&missing).unwrap_err();
        let exit = error.downcast_ref::<Exit>().unwrap();
        assert_eq!((exit.status, exit.message.as_deref()), (127, Some("Command not found")));
    }
}
