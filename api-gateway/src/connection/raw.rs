//! After `101 Switching Protocols` to something that is no websocket: bytes both ways.

use std::io;

use crate::connection::Inbox;
use crate::descriptor::Descriptor;

const CHUNK: usize = 64 * 1024;

/// Copies until both sides have ended, or the client is gone.
pub(crate) async fn bridge(socket: &Descriptor, inbox: &mut Inbox, stream: &Descriptor) -> io::Result<()> {
    let upstream = async {
        loop {
            if !inbox.is_empty() {
                tokio::select! {
                    written = stream.write_all(inbox.filled()) => written?,
                    () = socket.gone() => return Err(io::ErrorKind::ConnectionReset.into()),
                }
                inbox.consume(inbox.filled().len());
            }
            if inbox.receive(socket, CHUNK).await? == 0 {
                if socket.is_gone() {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                stream.finish();
                return Ok::<(), io::Error>(());
            }
        }
    };
    let downstream = async {
        stream.readable().await?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = stream.read(&mut buffer).await?;
            if length == 0 {
                socket.finish();
                return Ok::<(), io::Error>(());
            }
            socket.write_all(&buffer[..length]).await?;
        }
    };
    tokio::try_join!(upstream, downstream).map(|_| ())
}
