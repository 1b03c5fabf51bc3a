//! The control websocket of a command or console: window sizes and signals.

use std::os::fd::{AsFd, AsRawFd};

use hull_api::InstanceExecControl;
use hull_plugin::instance::TerminalSize;
use hull_plugin::{ProcessFd, StreamFd};
use tokio_util::sync::CancellationToken;

use crate::sys::Packets;

/// The longest control message.
const LONGEST: usize = 16 * 1024;

/// What the messages act upon.
pub(super) struct Controlled {
    pub(super) terminal: Option<StreamFd>,
    pub(super) process: ProcessFd,
}

/// Obeys until the command has ended or the client has gone. Dropping the terminal then hangs up on the command.
pub(super) async fn serve(control: Packets, controlled: Controlled, done: CancellationToken) {
    let mut buffer = vec![0; LONGEST];
    loop {
        let packet = tokio::select! {
            packet = control.receive(&mut buffer) => packet,
            () = done.cancelled() => return,
        };
        let Some(packet) = packet else { return };
        if let Err(why) = obey(&controlled, packet) {
            tracing::debug!(why, "control message not obeyed");
        }
    }
}

fn obey(controlled: &Controlled, packet: &[u8]) -> Result<(), String> {
    let message: InstanceExecControl = serde_json::from_slice(packet).map_err(|error| error.to_string())?;
    match message.command.as_str() {
        "window-resize" => {
            let size = size_of(&message).ok_or("no usable width and height")?;
            let terminal = controlled.terminal.as_ref().ok_or("the command has no terminal")?;
            hull_sys::terminal::resize(terminal.as_fd(), size.columns, size.rows).map_err(|error| error.to_string())
        }
        "signal" => {
            let signal = i32::try_from(message.signal).map_err(|error| error.to_string())?;
            let sent = hull_sys::process::signal_number(&controlled.process, signal);
            sent.map_err(|error| {
                format!("cannot send signal {signal} by {}: {error}", controlled.process.as_fd().as_raw_fd())
            })
        }
        other => Err(format!("unknown command `{other}`")),
    }
}

/// LXD's clients send the numbers as strings.
pub(super) fn size_of(message: &InstanceExecControl) -> Option<TerminalSize> {
    let number = |key: &str| message.args.get(key)?.parse().ok();
    Some(TerminalSize { columns: number("width")?, rows: number("height")? })
}
