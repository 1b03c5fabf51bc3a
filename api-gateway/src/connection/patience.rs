//! How long a client may hold a connection without using it: a slow or silent one costs a little memory, not for ever.

use std::io;
use std::time::Duration;

use crate::connection::Inbox;
use crate::connection::exchange::Interruption;
use crate::descriptor::Descriptor;
use crate::failure::Refusal;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From the first byte of a request to the end of its head.
    pub(crate) head: Duration,
    /// From one piece of a body to the next, while somebody wants it.
    pub(crate) body: Duration,
    /// From an answer, or the beginning, to the first byte of a request.
    pub(crate) idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: Duration::from_secs(10), body: Duration::from_secs(60), idle: Duration::from_secs(600) }
    }
}

impl Patience {
    pub(crate) fn with_head(self) -> Refusal {
        let seconds = self.head.as_secs_f64();
        Refusal::new(408, format!("the head of the request was not complete after {seconds} s"))
    }

    /// Receives more of a body; see [`Inbox::receive`].
    pub(crate) async fn receive(
        self,
        inbox: &mut Inbox,
        socket: &Descriptor,
        capacity: usize,
    ) -> Result<usize, Interruption> {
        self.with_body(inbox.receive(socket, capacity)).await
    }

    /// Waits for the client to send something of a body.
    pub(crate) async fn with_body<T>(self, piece: impl Future<Output = io::Result<T>>) -> Result<T, Interruption> {
        let Ok(piece) = tokio::time::timeout(self.body, piece).await else {
            let seconds = self.body.as_secs_f64();
            let message = format!("nothing of the request's body arrived for {seconds} s");
            return Err(Refusal::new(408, message).into());
        };
        Ok(piece?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::rc::Rc;

    use hull_gateway_contract::Token;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::connection::serve::{Connection, Standing};
    use crate::hub::Hub;

    const SHORT: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_secs(3600);

    fn connection(socket: UnixStream, patience: Patience) -> Connection {
        Connection {
            hub: Rc::new(Hub::new()),
            token: Token(1),
            socket: Descriptor::client(OwnedFd::from(socket)).unwrap(),
            inbox: Inbox::default(),
            standing: Standing::Valid,
            patience,
        }
    }

    /// What a client gets that sends `pieces`, one every 50 ms, and then nothing. Nobody answers its calls.
    fn conversation(patience: Patience, pieces: &[&[u8]]) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let mut connection = connection(theirs, patience);
            let served = tokio::task::spawn_local(async move { connection.run().await });
            ours.set_nonblocking(true).unwrap();
            let mut client = tokio::net::UnixStream::from_std(ours).unwrap();
            for piece in pieces {
                if client.write_all(piece).await.is_err() {
                    break; // it was cut off
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let mut answer = String::new();
            let end = tokio::time::timeout(Duration::from_secs(20), client.read_to_string(&mut answer)).await;
            end.expect("the connection ends by itself").unwrap();
            drop(client);
            served.await.unwrap().unwrap();
            answer
        })
    }

    #[test]
    fn a_head_that_never_ends_is_refused_however_it_drips() {
        let patience = Patience { head: SHORT, body: LONG, idle: LONG };
        let head = b"GET /1.0 HTTP/1.1\r\nHost: h\r\nX: ".as_slice();
        let drip = [vec![head], vec![b"x".as_slice(); 100]].concat();
        for pieces in [&drip[..1], &drip] {
            let answer = conversation(patience, pieces);
            assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
            assert!(answer.contains("connection: close") && answer.contains("not complete"), "{answer}");
        }
    }

    #[test]
    fn a_body_that_stops_is_refused_whatever_its_framing() {
        let patience = Patience { head: LONG, body: SHORT, idle: LONG };
        let chunked = b"POST /1.0 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab".as_slice();
        let announced = b"POST /1.0 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab".as_slice();
        for head in [chunked, announced] {
            let answer = conversation(patience, &[head]);
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
            assert!(answer.contains("nothing of the request's body"), "{answer}");
        }
    }

    #[test]
    fn a_silent_client_is_let_go_without_a_word() {
        let patience = Patience { head: LONG, body: LONG, idle: SHORT };
        assert_eq!(conversation(patience, &[]), "");
    }

    #[test]
    fn who_is_cut_off_while_sending_gets_an_end_and_no_reset() {
        use std::io::{ErrorKind, Read, Write};
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let (mut client, theirs) = UnixStream::pair().unwrap();
        let connection = connection(theirs, Patience::default());
        client.write_all(&[b'x'; 100_000]).unwrap();
        connection.cut_off();
        assert_eq!(client.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        drop(connection);
        assert_eq!(client.read(&mut [0; 10]).unwrap(), 0);
    }
}
