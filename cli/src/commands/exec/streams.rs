//! Bytes between our descriptors and websockets.

use crate::client::{Receiver, Sender, Socket};
use crate::commands::Exit;
use anyhow::Result;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Sends stdin until it ends, then says that it has.
pub(crate) async fn copy_in(mut sender: Sender, disabled: bool) {
    if !disabled {
        let mut stdin = tokio::io::stdin();
        let mut buffer = BytesMut::with_capacity(CHUNK);
        loop {
            buffer.reserve(CHUNK);
            match stdin.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            if sender.bytes(buffer.split().freeze()).await.is_err() {
                return; // the command reads no more
            }
        }
    }
    if sender.end().await.is_ok() {
        // The sender must live: closing it would hang up on the command.
        std::future::pending::<()>().await;
    }
}

/// Writes what arrives until the stream ends.
pub(crate) async fn copy_out(mut receiver: Receiver, mut target: impl AsyncWrite + Unpin) -> Result<()> {
    while let Some(bytes) = receiver.next().await? {
        target.write_all(&bytes).await.map_err(unwritten)?;
        target.flush().await.map_err(unwritten)?;
    }
    Ok(())
}

/// `hull exec c1 -- yes | head -1`: the reader has what it wanted, and we end as if SIGPIPE had ended us.
fn unwritten(error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Exit { status: 141, message: None }.into(),
        _ => anyhow::Error::new(error).context("cannot write the output of the command"),
    }
}

/// [`copy_out`], then tells the server that all was read.
pub(super) async fn copy_out_and_close(socket: Socket, target: impl AsyncWrite + Unpin) -> Result<()> {
    let Socket { mut sender, receiver } = socket;
    let result = copy_out(receiver, target).await;
    sender.close().await;
    result
}

const CHUNK: usize = 128 * 1024;
