//! Whether a dnsmasq just started serves: it answers a question, or it has ended.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use hull_plugin::{Code, DriverError, ProcessFd};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

/// Waits until DNS on `address` answers, at most [`PATIENCE`].
pub(super) async fn wait(process: &ProcessFd, address: IpAddr, network: &str) -> Result<(), DriverError> {
    let failed = |why: String| DriverError::new(Code::Unavailable, format!("dnsmasq of network `{network}` {why}"));
    let deadline = Instant::now() + PATIENCE;
    loop {
        if has_ended(process) {
            return Err(failed("ended at once".into())
                .hint("its last words are in Hull's log; is port 53 or 67 of the bridge in use?"));
        }
        // A socket of its own each time: an unbound port leaves its error behind in the old one.
        match ask(address).await {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= deadline => {
                return Err(failed(format!("does not answer on {address}")).because(error));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

pub(super) fn has_ended(process: &ProcessFd) -> bool {
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

async fn ask(address: IpAddr) -> std::io::Result<()> {
    let any: SocketAddr = if address.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect((address, 53)).await?;
    socket.send(VERSION_QUESTION).await?;
    let mut answer = [0; 512];
    let length = timeout(ANSWER, socket.recv(&mut answer)).await.map_err(std::io::Error::from)??;
    if length >= 12 && answer[..2] == VERSION_QUESTION[..2] {
        Ok(())
    } else {
        Err(std::io::ErrorKind::InvalidData.into())
    }
}

/// `version.bind TXT CH`: dnsmasq answers it by itself, whatever its upstream servers do.
const VERSION_QUESTION: &[u8] =
    b"\x48\x75\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07version\x04bind\x00\x00\x10\x00\x03";

const PATIENCE: Duration = Duration::from_secs(4);
const ANSWER: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(3);
