//! Routing netlink: a socket of the current network namespace, its dumps, and bringing a link up.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

const REQUEST_DUMP: u16 = 0x301; // linux/netlink.h NLM_F_REQUEST | NLM_F_DUMP
const DONE: u16 = 3; // linux/netlink.h NLMSG_DONE
const ERROR: u16 = 2; // linux/netlink.h NLMSG_ERROR
const NAMESPACE_ID: u16 = 1; // linux/net_namespace.h NETNSA_NSID
const NAMESPACE_FD: u16 = 3; // linux/net_namespace.h NETNSA_FD

/// A socket in the calling thread's network namespace.
pub fn open() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)
}

/// The most messages of one dump: in a namespace of others anybody may make as many as there is memory for.
const MOST: usize = 4096;

/// The answers to a dump request such as `RTM_GETLINK`, as far as they are not too many: the payload of each message, without
/// the netlink header. The socket may be in the middle of it afterwards, and can be used for nothing else.
pub fn dump(socket: OwnedFd, kind: u16, sequence: u32) -> nix::Result<Vec<Vec<u8>>> {
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
        if collect(&buffer[..length.min(buffer.len())], sequence, &mut answers)? || answers.len() >= MOST {
            return Ok(answers);
        }
    }
}

/// The number by which this network namespace knows another; it is given one if it has none. Waits for no lock of the kernel.
pub fn namespace_id(namespace: BorrowedFd) -> nix::Result<i32> {
    let socket = open()?;
    let fd = (NAMESPACE_FD, namespace.as_raw_fd());
    match ask_of_namespace(&socket, libc::RTM_NEWNSID, &[fd, (NAMESPACE_ID, -1)]) {
        Ok(_) | Err(Errno::EEXIST) => {}
        Err(error) => return Err(error),
    }
    let answer = ask_of_namespace(&socket, libc::RTM_GETNSID, &[fd])?;
    let found = attributes(answer.get(4..).unwrap_or_default()).into_iter().find(|(kind, _)| *kind == NAMESPACE_ID);
    let id = found.and_then(|(_, value)| value.first_chunk::<4>()).map(|bytes| i32::from_ne_bytes(*bytes));
    id.filter(|id| *id >= 0).ok_or(Errno::ENOENT)
}

/// Whether the namespace with this number is still there. Waits for no lock of the kernel.
pub fn has_namespace(id: i32) -> nix::Result<bool> {
    match ask_of_namespace(&open()?, libc::RTM_GETNSID, &[(NAMESPACE_ID, id)]) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// One question about namespaces; the body of the answer, empty for a mere acknowledgement.
fn ask_of_namespace(socket: &OwnedFd, kind: u16, attributes: &[(u16, i32)]) -> nix::Result<Vec<u8>> {
    let mut request = vec![0; 4]; // the length
    request.extend(kind.to_ne_bytes());
    let acknowledged = if kind == libc::RTM_GETNSID { 0 } else { libc::NLM_F_ACK };
    request.extend(((libc::NLM_F_REQUEST | acknowledged) as u16).to_ne_bytes());
    request.resize(20, 0); // sequence 0, port 0, `struct rtgenmsg` padded
    for (name, value) in attributes {
        request.extend(8_u16.to_ne_bytes());
        request.extend(name.to_ne_bytes());
        request.extend(value.to_ne_bytes());
    }
    let length = u32::try_from(request.len()).map_err(|_| Errno::EMSGSIZE)?;
    request[..4].copy_from_slice(&length.to_ne_bytes());
    nix::sys::socket::send(socket.as_raw_fd(), &request, nix::sys::socket::MsgFlags::empty())?;
    let mut buffer = [0; 1024];
    let received = nix::sys::socket::recv(socket.as_raw_fd(), &mut buffer, nix::sys::socket::MsgFlags::empty())?;
    let body = buffer.get(16..received).ok_or(Errno::EBADMSG)?;
    if u16::from_ne_bytes([buffer[4], buffer[5]]) != ERROR {
        return Ok(body.to_vec());
    }
    match error_of(body) {
        Errno::UnknownErrno => Ok(Vec::new()), // 0: done
        error => Err(error),
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

    #[test]
    fn the_loopback_interface_is_listed() {
        let socket = open().unwrap();
        let links = dump(socket, libc::RTM_GETLINK, 7).unwrap();
        let names: Vec<_> = links
            .iter()
            .flat_map(|link| attributes(&link[16..]))
            .filter(|(kind, _)| *kind == libc::IFLA_IFNAME)
            .map(|(_, name)| name.to_vec())
            .collect();
        assert!(names.contains(&b"lo\0".to_vec()), "{names:?}");
    }
}
