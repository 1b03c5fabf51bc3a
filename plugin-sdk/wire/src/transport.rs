//! A sequenced-packet socket as the `Stream` and `Sink` that tarpc asks for.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::{Sink, Stream};
use hull_sys::message;
use nix::errno::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tarpc::{ClientMessage, Response};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Sleep;

use crate::fd::{collecting, providing};
use crate::frame::{self, Call, Reply};
use crate::vigil::Vigil;

/// The largest frame, in bytes.
pub const MAX_FRAME: usize = frame::MAX_FRAME;

thread_local! {
    static RECEIVED: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_FRAME + 1]);
}

/// The calling end of a connection.
pub struct ClientTransport<Req, Resp>(Packets<Reply<Resp>>, PhantomData<fn(Req)>);
/// The answering end of a connection.
pub struct ServerTransport<Req, Resp>(Packets<Call<Req>>, PhantomData<fn(Resp)>);

/// The calling end over `socket`, a non-blocking `SOCK_SEQPACKET` socket. Must be called inside a tokio runtime.
pub fn connect<Req, Resp>(socket: OwnedFd) -> io::Result<ClientTransport<Req, Resp>> {
    Ok(ClientTransport(Packets::new(socket, Vigil::for_answer())?, PhantomData))
}

/// The answering end over `socket`, a non-blocking `SOCK_SEQPACKET` socket. Must be called inside a tokio runtime.
pub fn accept<Req, Resp>(socket: OwnedFd) -> io::Result<ServerTransport<Req, Resp>> {
    Ok(ServerTransport(Packets::new(socket, Vigil::for_call())?, PhantomData))
}

impl<Req, Resp: DeserializeOwned> Stream for ClientTransport<Req, Resp> {
    type Item = io::Result<Response<Resp>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let received = ready!(self.0.poll_receive(cx));
        if let Some(Ok(reply)) = &received {
            self.0.vigil.answered(reply.id());
        }
        Poll::Ready(received.map(|frame| frame.map(Reply::into_tarpc)))
    }
}

impl<Req: Serialize, Resp> Sink<ClientMessage<Req>> for ClientTransport<Req, Resp> {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: ClientMessage<Req>) -> io::Result<()> {
        let Some(call) = Call::from_tarpc(message) else { return Ok(()) };
        self.0.enqueue(&call)?;
        self.0.vigil.count(&call, Instant::now());
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }
}

impl<Req: DeserializeOwned, Resp> Stream for ServerTransport<Req, Resp> {
    type Item = io::Result<ClientMessage<Req>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let received = ready!(self.0.poll_receive(cx));
        if let Some(Ok(call)) = &received {
            self.0.vigil.count(call, Instant::now());
        }
        Poll::Ready(received.map(|frame| frame.map(Call::into_tarpc)))
    }
}

impl<Req, Resp: Serialize> Sink<Response<Resp>> for ServerTransport<Req, Resp> {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    /// An answer that does not fit a frame is replaced by an error for its caller; the connection lives on.
    fn start_send(mut self: Pin<&mut Self>, response: Response<Resp>) -> io::Result<()> {
        let id = response.request_id;
        self.0.vigil.answered(id);
        self.0.enqueue(&Reply::from_tarpc(response)).or_else(|error| {
            self.0.enqueue(&Reply::<Resp>::Failed { id, detail: format!("cannot send the answer: {error}") })
        })
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }
}

struct Packets<In> {
    /// Asked for arrivals only: else each packet that the peer takes would wake this end to say that there is room again.
    socket: AsyncFd<OwnedFd>,
    /// The same socket, asked for room, while there is none.
    full: Option<AsyncFd<OwnedFd>>,
    pace: Pace,
    vigil: Vigil,
    outgoing: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    incoming: PhantomData<fn() -> In>,
}

impl<In> Packets<In> {
    fn new(socket: OwnedFd, vigil: Vigil) -> io::Result<Self> {
        let socket = registered(socket, Interest::READABLE)?;
        Ok(Self { socket, full: None, pace: Pace::default(), vigil, outgoing: VecDeque::new(), incoming: PhantomData })
    }

    fn enqueue<Out: Serialize>(&mut self, message: &Out) -> io::Result<()> {
        let (bytes, descriptors) = collecting(|| frame::encode(message));
        if descriptors.len() > message::MAX_DESCRIPTORS {
            return Err(io::Error::other(format!("{} descriptors in one message", descriptors.len())));
        }
        self.outgoing.push_back((bytes?, descriptors));
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((bytes, descriptors)) = self.outgoing.front() {
            let send = || message::send(self.socket.as_fd(), bytes, descriptors);
            let sent = match &self.full {
                None => send(),
                Some(full) => {
                    let mut room = ready!(full.poll_write_ready(cx))?;
                    send().inspect_err(|_| room.clear_ready())
                }
            };
            match sent {
                Ok(()) => {
                    self.outgoing.pop_front();
                    self.vigil.begin(Instant::now());
                }
                Err(Errno::EAGAIN) if self.full.is_some() => {}
                Err(Errno::EAGAIN) => {
                    self.full = Some(registered(self.socket.get_ref().try_clone()?, Interest::WRITABLE)?);
                }
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        self.full = None;
        Poll::Ready(Ok(()))
    }
}

impl<In: DeserializeOwned> Packets<In> {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<In>>> {
        self.pace.keep(cx);
        loop {
            let received = match self.socket.poll_read_ready(cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Ok(mut ready)) => {
                    ready.try_io(|socket| receive(socket.get_ref())).unwrap_or_else(|_| Err(Errno::EAGAIN.into()))
                }
                Poll::Pending => ready!(self.watch()),
            };
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
                Ok(frame) => {
                    self.pace.traffic = true;
                    self.vigil.end(Instant::now());
                    return Poll::Ready(frame);
                }
            }
        }
    }

    /// Looks for a packet itself, while one is likely to come.
    fn watch(&self) -> Poll<io::Result<Option<io::Result<In>>>> {
        while self.vigil.awake(Instant::now()) {
            match receive(self.socket.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                received => return Poll::Ready(received),
            }
        }
        Poll::Pending
    }
}

/// The next packet; `None` is the end.
fn receive<In: DeserializeOwned>(socket: &OwnedFd) -> io::Result<Option<io::Result<In>>> {
    RECEIVED.with_borrow_mut(|buffer| {
        let (length, descriptors) = message::receive(socket.as_fd(), buffer)?;
        Ok((length > 0).then(|| decode(&buffer[..length], descriptors)))
    })
}

#[allow(unsafe_code)]
fn registered(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd stays open and stands for the same socket until it is dropped, which `AsyncFd` does itself.
    unsafe { AsyncFd::register_with_interest(socket, interest) }.map_err(io::Error::from)
}

/// A near timer, as long as packets come. tokio interrupts its event loop for each new timer that is due before all
/// others, as every call's deadline is on a quiet day: two system calls and a thread's waking, for a timer that the answer
/// removes again. With one that is due sooner anyhow, deadlines cost nothing.
#[derive(Default)]
struct Pace {
    timer: Option<Pin<Box<Sleep>>>,
    /// Something has come since the timer was set.
    traffic: bool,
}

impl Pace {
    const INTERVAL: Duration = Duration::from_millis(250);

    fn keep(&mut self, cx: &mut Context<'_>) {
        if self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
            self.timer = None;
        }
        if self.timer.is_none() && std::mem::take(&mut self.traffic) {
            let timer = self.timer.insert(Box::pin(tokio::time::sleep(Self::INTERVAL)));
            let _ = timer.as_mut().poll(cx); // sets it
        }
    }
}

pub(crate) fn decode<In: DeserializeOwned>(bytes: &[u8], descriptors: Vec<OwnedFd>) -> io::Result<In> {
    if bytes.len() > MAX_FRAME {
        return Err(io::Error::other("frame too long"));
    }
    let (message, left) = providing(descriptors, || frame::decode(bytes));
    if left > 0 {
        return Err(io::Error::other(format!("{left} descriptors that the message does not name")));
    }
    message
}
