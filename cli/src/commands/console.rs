//! The console of an instance: its log, or a terminal on it. Ctrl-a q leaves.

use crate::client::{Sender, Server, Socket, url};
use crate::commands::exec::{RawTerminal, copy_out, serve_control, size};
use crate::context::Context;
use anyhow::{Context as _, Result, bail};
use http::{HeaderMap, Method};
use hull_api::InstanceConsolePost;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio_util::task::AbortOnDropHandle;

/// Attach to the console of an instance
#[derive(Debug, clap::Args)]
pub(crate) struct Console {
    #[arg(value_name = "[REMOTE:]INSTANCE")]
    instance: String,
    /// Print what the console showed so far
    #[arg(long)]
    show_log: bool,
    /// Kind of console
    #[arg(short = 't', long = "type", default_value = "console")]
    kind: String,
}

impl Console {
    pub(crate) async fn run(self, cx: &Context) -> Result<()> {
        let (server, instance) = cx.locate(&self.instance)?;
        if self.kind != "console" {
            bail!("Unknown output type \"{}\"", self.kind);
        }
        if self.show_log {
            let path = url(&["instances", &instance, "console"]);
            let answer = server.exchange(Method::GET, &path, HeaderMap::new(), crate::client::empty()).await?;
            let bytes = crate::client::accepted(answer).await?;
            cx.printer.text("\nConsole log:\n\n");
            cx.printer.bytes(&bytes);
            cx.printer.text("\n");
            return Ok(());
        }
        attach(cx, &server, &instance).await
    }
}

/// Puts the terminal on the console until the user leaves or the instance stops.
pub(crate) async fn attach(cx: &Context, server: &Server, instance: &str) -> Result<()> {
    let (width, height) = size().unwrap_or((80, 24));
    let request = InstanceConsolePost { width: width.into(), height: height.into(), kind: "console".into() };
    let operation = server.start(Method::POST, &url(&["instances", instance, "console"]), &request, "").await?;
    let operation = operation.context("the server opened the console without an operation")?;
    let secret = |name: &str| {
        let secrets = operation.metadata.get("fds").and_then(|secrets| secrets.get(name));
        secrets
            .and_then(Value::as_str)
            .map(str::to_owned)
            .with_context(|| format!("the server gave no secret for stream `{name}`"))
    };
    let Socket { sender, receiver } = server.websocket(&operation, &secret("0")?).await?;
    let control = server.websocket(&operation, &secret("control")?).await?;
    let _control = AbortOnDropHandle::new(tokio::spawn(serve_control(control, &[], true)));
    cx.printer.line("To detach from the console, press: <ctrl>+a q");
    let raw = RawTerminal::enter();
    tokio::select! {
        result = copy_out(receiver, tokio::io::stdout()) => result?,
        () = keys(sender) => {}
    }
    drop(raw);
    // Once nobody is attached the console's operation ends; its failure would say nothing the user has not seen.
    cx.printer.line("");
    Ok(())
}

/// Sends what is typed until the user types ctrl-a q.
async fn keys(mut sender: Sender) {
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0; 1024];
    let mut escape = Escape::default();
    loop {
        let read = match stdin.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        let (send, leave) = escape.filter(&buffer[..read]);
        if !send.is_empty() && sender.bytes(send.into()).await.is_err() {
            return;
        }
        if leave {
            sender.close().await;
            return;
        }
    }
}

/// Looks for ctrl-a q. A ctrl-a that something else follows is sent on.
#[derive(Default)]
struct Escape {
    pending: bool,
}

impl Escape {
    fn filter(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut send = Vec::with_capacity(typed.len());
        for &byte in typed {
            match (self.pending, byte) {
                (true, b'q') => return (send, true),
                (true, other) => {
                    self.pending = false;
                    send.extend([CONTROL_A, other]);
                }
                (false, CONTROL_A) => self.pending = true,
                (false, other) => send.push(other),
            }
        }
        (send, false)
    }
}

const CONTROL_A: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_a_q_leaves_in_one_read_or_two() {
        let mut escape = Escape::default();
        assert_eq!(escape.filter(b"ls\x01q"), (b"ls".to_vec(), true));
        let mut escape = Escape::default();
        assert_eq!(escape.filter(b"\x01"), (Vec::new(), false));
        assert_eq!(escape.filter(b"x"), (b"\x01x".to_vec(), false));
    }
}
