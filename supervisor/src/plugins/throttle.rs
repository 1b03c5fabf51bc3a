//! A plugin's upcalls, no more of them at a time than hulld works on: the rest waits in the plugin's own socket.
//!
//! The transport itself holds back, because the channel above must be polled all the time: it writes the answers then, and
//! a channel that waited for its handlers while these wait for their answers to be written would wait for ever.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use futures::{Sink, Stream};
use hull_plugin::tarpc::{ClientMessage, Response};

/// A transport that delivers no further request while so many are unanswered.
pub(super) struct Throttled<T> {
    inner: T,
    most: usize,
    /// Requests by id, and when the channel gives each up.
    outstanding: HashMap<u64, Instant>,
    waiting: Option<Waker>,
}

impl<T> Throttled<T> {
    pub(super) fn new(inner: T, most: usize) -> Self {
        Self { inner, most, outstanding: HashMap::new(), waiting: None }
    }

    fn is_full(&mut self) -> bool {
        if self.outstanding.len() >= self.most {
            let now = Instant::now();
            self.outstanding.retain(|_, deadline| *deadline > now);
        }
        self.outstanding.len() >= self.most
    }
}

impl<T, Request> Stream for Throttled<T>
where
    T: Stream<Item = io::Result<ClientMessage<Request>>> + Unpin,
{
    type Item = T::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_full() {
            // An answer wakes it, and so does the channel when a request's time is over.
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let item = ready!(Pin::new(&mut self.inner).poll_next(cx));
        match &item {
            Some(Ok(ClientMessage::Request(request))) => {
                self.outstanding.insert(request.id, request.context.deadline);
            }
            Some(Ok(ClientMessage::Cancel { request_id, .. })) => _ = self.outstanding.remove(request_id),
            _ => {}
        }
        Poll::Ready(item)
    }
}

impl<T, Answer> Sink<Response<Answer>> for Throttled<T>
where
    T: Sink<Response<Answer>, Error = io::Error> + Unpin,
{
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, response: Response<Answer>) -> io::Result<()> {
        self.outstanding.remove(&response.request_id);
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
        Pin::new(&mut self.inner).start_send(response)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use hull_plugin::tarpc::server::{BaseChannel, Channel};
    use hull_plugin::tarpc::service;
    use hull_plugin::{Context as Call, RequestId, accept, connect, context};
    use std::time::Duration;

    #[service(derive = [serde::Serialize, serde::Deserialize])]
    trait Echo {
        async fn echo(number: u64) -> u64;
    }

    #[derive(Clone)]
    struct Server;

    impl Echo for Server {
        async fn echo(self, _: Call, number: u64) -> u64 {
            number
        }
    }

    /// A client that sends for a while without reading: the answers it has not taken hold its own requests up, and when
    /// it reads again everything goes on.
    #[tokio::test]
    async fn a_flood_from_one_who_does_not_listen_waits_and_goes_on() {
        let (ours, theirs) = hull_sys::message::packet_pair().unwrap();
        let transport = Throttled::new(accept(ours).unwrap(), 8);
        tokio::spawn(async move {
            let mut requests = std::pin::pin!(BaseChannel::with_defaults(transport).execute(Server.serve()));
            while let Some(request) = requests.next().await {
                tokio::spawn(request);
            }
        });
        let client = EchoClient::new(Default::default(), connect(theirs).unwrap());
        let flood = (0..2000).map(|number| {
            let client = client.client.clone();
            async move { client.echo(context(RequestId(1), Duration::from_secs(30)), number).await }
        });
        let flood = tokio::spawn(futures::future::join_all(flood.collect::<Vec<_>>()));
        tokio::time::sleep(Duration::from_millis(50)).await; // nobody reads or writes for the client yet
        tokio::spawn(client.dispatch);
        let answers = tokio::time::timeout(Duration::from_secs(30), flood).await.unwrap().unwrap();
        assert!(answers.into_iter().map(Result::unwrap).eq(0..2000));
    }
}
