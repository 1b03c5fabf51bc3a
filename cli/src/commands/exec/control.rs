//! The control socket of a command or console: window sizes and signals go in.

use super::size;
use crate::client::{Sender, Socket};
use crate::interrupt::Taken;
use hull_api::InstanceExecControl;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Forwards these signals to this process, and if wanted the size of its terminal, until the socket is dropped.
pub(crate) async fn serve(socket: Socket, signals: &[i32], sizes: bool) {
    let Socket { mut sender, receiver: _receiver } = socket;
    let _taken = signals.contains(&libc::SIGINT).then(Taken::new);
    let (happened, mut happenings) = mpsc::channel(8);
    let mut watchers = JoinSet::new();
    for number in signals.iter().chain(sizes.then_some(&libc::SIGWINCH)) {
        if let Ok(stream) = signal(SignalKind::from_raw(*number)) {
            watchers.spawn(watch(stream, *number, happened.clone()));
        }
    }
    // Since the size was read for the request it may have changed.
    if sizes && forward(&mut sender, libc::SIGWINCH).await.is_err() {
        return;
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

/// What a command gets as if it had been sent to it.
pub(super) const SIGNALS: &[i32] = &[
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
