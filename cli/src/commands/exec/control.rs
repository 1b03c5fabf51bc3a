//! The control socket of a command: window sizes and signals go in.

use super::size;
use crate::client::{Sender, Socket};
use hull_api::InstanceExecControl;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Forwards what happens to this process until the socket is dropped.
pub(super) async fn serve(socket: Socket, interactive: bool) {
    let Socket { mut sender, receiver: _receiver } = socket;
    let (happened, mut happenings) = mpsc::channel(8);
    let mut watchers = JoinSet::new();
    for number in FORWARDED {
        if let Ok(stream) = signal(SignalKind::from_raw(number)) {
            watchers.spawn(watch(stream, number, happened.clone()));
        }
    }
    if interactive && let Ok(stream) = signal(SignalKind::window_change()) {
        watchers.spawn(watch(stream, libc::SIGWINCH, happened.clone()));
        // Since the size was read for the request it may have changed.
        if forward(&mut sender, libc::SIGWINCH).await.is_err() {
            return;
        }
    }
    drop(happened);
    while let Some(number) = happenings.recv().await {
        if forward(&mut sender, number).await.is_err() {
            return; // the command is over
        }
    }
}

async fn watch(mut stream: Signal, number: i32, happened: mpsc::Sender<i32>) {
    while stream.recv().await.is_some() {
        if happened.send(number).await.is_err() {
            return;
        }
    }
}

async fn forward(sender: &mut Sender, number: i32) -> anyhow::Result<()> {
    let message = if number == libc::SIGWINCH {
        let Some((width, height)) = size() else { return Ok(()) };
        let args = [("width".to_owned(), width.to_string()), ("height".to_owned(), height.to_string())].into();
        InstanceExecControl { command: "window-resize".into(), args, signal: 0 }
    } else {
        InstanceExecControl { command: "signal".into(), signal: i64::from(number), ..InstanceExecControl::default() }
    };
    sender.text(serde_json::to_string(&message)?).await
}

const FORWARDED: [i32; 9] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGCONT,
    libc::SIGALRM,
    libc::SIGTTOU,
];
