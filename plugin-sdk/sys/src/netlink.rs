//! Routing netlink: a socket of the current network namespace, its dumps, and bringing a link up.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

const REQUEST_DUMP: u16 = 0x301; // linux/netlink.h NLM_F_REQUEST | NLM_F_DUMP
const DONE: u16 = 3; // linux/netlink.h NLMSG_DONE
const ERROR: u16 = 2; // linux/netlink.h NLMSG_ERROR

/// A socket in the calling thread's network namespace.
pub fn open() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)
}

/// All answers to a dump request such as `RTM_GETLINK`: the payload of each message, without the netlink header.
pub fn dump(socket: BorrowedFd, kind: u16, sequence: u32) -> nix::Result<Vec<Vec<u8>>> {
    let mut request = Vec::with_capacity(32);
    request.extend(32_u32.to_ne_bytes()); // length: header 16 + `struct ifinfomsg` 16
    request.extend(kind.to_ne_bytes());
    request.extend(REQUEST_DUMP.to_ne_bytes());
    request.extend(sequence.to_ne_bytes());
    request.resize(32, 0);
    nix::sys::socket::send(socket.as_raw_fd(), &request, nix::sys::socket::MsgFlags::empty())?;
    let mut answers = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = nix::sys::socket::recv(socket.as_raw_fd(), &mut buffer, nix::sys::socket::MsgFlags::empty())?;
        if collect(&buffer[..length.min(buffer.len())], sequence, &mut answers)? {
            return Ok(answers);
        }
    }
}

/// Takes the messages of one datagram; `true`: that was the last.
fn collect(mut bytes: &[u8], sequence: u32, answers: &mut Vec<Vec<u8>>) -> nix::Result<bool> {
    while let Some((header, _)) = bytes.split_first_chunk::<16>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let number = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
        let body = bytes.get(16..length).ok_or(Errno::EBADMSG)?;
        if number == sequence {
            match kind {
                DONE => return Ok(true),
                ERROR => return Err(error_of(body)),
                _ => answers.push(body.to_vec()),
            }
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn error_of(body: &[u8]) -> Errno {
    body.first_chunk::<4>().map_or(Errno::EBADMSG, |bytes| Errno::from_raw(-i32::from_ne_bytes(*bytes)))
}

/// The attributes in `bytes`: type (without its flag bits) and value.
pub fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut result = Vec::new();
    while let Some((header, _)) = bytes.split_first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let Some(value) = bytes.get(4..length) else { break };
        result.push((u16::from_ne_bytes([header[2], header[3]]) & 0x3fff, value));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    result
}

/// Brings the loopback interface of this network namespace up.
pub fn loopback_up() -> nix::Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: an all-zero `ifreq` is a valid value of this plain structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn the_loopback_interface_is_listed() {
        let socket = open().unwrap();
        let links = dump(socket.as_fd(), libc::RTM_GETLINK, 7).unwrap();
        let names: Vec<_> = links
            .iter()
            .flat_map(|link| attributes(&link[16..]))
            .filter(|(kind, _)| *kind == libc::IFLA_IFNAME)
            .map(|(_, name)| name.to_vec())
            .collect();
        assert!(names.contains(&b"lo\0".to_vec()), "{names:?}");
    }
}
