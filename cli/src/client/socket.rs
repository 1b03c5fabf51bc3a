//! A websocket to the server: streams of commands and consoles, and events.

use super::exchange::connect;
use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use std::path::Path;
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

pub(crate) struct Socket {
    pub(crate) sender: Sender,
    pub(crate) receiver: Receiver,
}

pub(crate) struct Sender(SplitSink<WebSocketStream<UnixStream>, Message>);
pub(crate) struct Receiver(SplitStream<WebSocketStream<UnixStream>>);

impl Socket {
    pub(super) async fn connect(socket: &Path, target: &str) -> Result<Self> {
        let stream = connect(socket).await?;
        let limits = WebSocketConfig::default()
            .max_message_size(Some(256 << 20))
            .max_frame_size(Some(256 << 20))
            .read_buffer_size(256 * 1024)
            .write_buffer_size(0);
        let opened =
            tokio_tungstenite::client_async_with_config(format!("ws://hull{target}"), stream, Some(limits)).await;
        let (websocket, _) = opened.map_err(|error| match error {
            tokio_tungstenite::tungstenite::Error::Http(answer) => {
                super::server::refusal(answer.status(), answer.body().as_deref().unwrap_or_default()).into()
            }
            other => anyhow::Error::new(other).context("the server refused the websocket"),
        })?;
        let (sender, receiver) = websocket.split();
        Ok(Self { sender: Sender(sender), receiver: Receiver(receiver) })
    }
}

impl Sender {
    pub(crate) async fn bytes(&mut self, bytes: Bytes) -> Result<()> {
        self.0.send(Message::Binary(bytes)).await.context("the server closed the stream")
    }

    pub(crate) async fn text(&mut self, text: String) -> Result<()> {
        self.0.send(Message::Text(text.into())).await.context("the server closed the stream")
    }

    /// Nothing more comes from this side: an empty text message, as LXD has it.
    pub(crate) async fn end(&mut self) -> Result<()> {
        self.text(String::new()).await
    }

    pub(crate) async fn close(&mut self) {
        // The other side may be gone already; then there is nobody to tell.
        let _ = self.0.send(Message::Close(None)).await;
    }
}

impl Receiver {
    /// The next data, `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Binary(bytes))) => return Ok(Some(bytes)),
                Some(Ok(Message::Text(text))) if text.is_empty() => return Ok(None),
                Some(Ok(Message::Text(text))) => return Ok(Some(text.into())),
                Some(Ok(Message::Close(_))) | None => return Ok(None),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(_)) => return Ok(None), // a stream that is cut is a stream that ended
            }
        }
    }
}
