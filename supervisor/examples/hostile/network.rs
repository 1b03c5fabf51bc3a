//! Sockets: families that are not for everybody, and neighbours that are for nobody.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::Duration;

use crate::Attempt;
use crate::sys::{address, call};

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("connect-api-socket", |t| UnixStream::connect(t.hull_dir.join("unix.socket")).map(drop)),
    ("connect-service-manager", |_| UnixStream::connect("/run/systemd/private").map(drop)),
    ("connect-message-bus", |_| UnixStream::connect("/run/dbus/system_bus_socket").map(drop)),
    ("connect-abstract-socket", |t| {
        let name = SocketAddr::from_abstract_name(&t.abstract_socket)?;
        UnixStream::connect_addr(&name).map(drop)
    }),
    ("connect-host-port", |t| {
        let timeout = Duration::from_secs(2);
        TcpStream::connect_timeout(&([127, 0, 0, 1], t.port).into(), timeout).map(drop)
    }),
    ("listen-on-low-port", |_| TcpListener::bind(("0.0.0.0", 81)).map(drop)),
    ("listen-on-abstract-socket", |_| {
        let name = SocketAddr::from_abstract_name(format!("hostile-{}", std::process::id()))?;
        UnixListener::bind_addr(&name)?;
        // A name in a network namespace of one's own, or one that nobody outside can reach, does no harm.
        Err(io::ErrorKind::AddrNotAvailable.into())
    }),
    ("raw-socket", |_| socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)),
    ("raw-socket-6", |_| socket(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6)),
    ("packet-socket", |_| socket(libc::AF_PACKET, libc::SOCK_RAW, 0x0300)),
    ("crypto-socket", |_| socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)),
    ("vsock-socket", |_| socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)),
    ("key-socket", |_| socket(libc::AF_KEY, libc::SOCK_RAW, 2)),
    ("bluetooth-socket", |_| socket(libc::AF_BLUETOOTH, libc::SOCK_RAW, 1)),
    ("can-socket", |_| socket(libc::AF_CAN, libc::SOCK_RAW, 1)),
    ("express-socket", |_| socket(libc::AF_XDP, libc::SOCK_RAW, 0)),
    ("netlink-audit", |_| netlink_change(libc::NETLINK_AUDIT, 1001, &[0; 40])), // AUDIT_SET
    ("netlink-route", |_| netlink_change(libc::NETLINK_ROUTE, libc::RTM_NEWLINK, &link_up())),
    ("netlink-xfrm", |_| netlink_change(libc::NETLINK_XFRM, 0x1c, &[0; 8])), // XFRM_MSG_FLUSHSA
    ("netlink-netfilter", |_| netlink_change(libc::NETLINK_NETFILTER, 0x0a10, &[0; 4])), // NFT_MSG_GETGEN
];

fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<()> {
    open(family, kind, protocol).map(drop)
}

fn open(family: i32, kind: i32, protocol: i32) -> io::Result<usize> {
    call(libc::SYS_socket, [family as usize, kind as usize, protocol as usize, 0, 0, 0])
}

/// `RTM_NEWLINK`: the loopback interface is to be up.
fn link_up() -> [u8; 16] {
    let mut message = [0; 16];
    message[4] = 1; // its index
    message[8] = 1; // IFF_UP
    message[12] = 1; // of the flags, that one
    message
}

/// A request that needs a privilege over the network namespace; the kernel's answer.
fn netlink_change(protocol: i32, kind: u16, body: &[u8]) -> io::Result<()> {
    let socket = open(libc::AF_NETLINK, libc::SOCK_RAW, protocol)?;
    let length = 16 + body.len();
    let mut message = Vec::with_capacity(length);
    message.extend((length as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(5_u16.to_ne_bytes()); // NLM_F_REQUEST | NLM_F_ACK
    message.extend([0; 8]);
    message.extend(body);
    call(libc::SYS_sendto, [socket, message.as_ptr().addr(), length, 0, 0, 0])?;
    let answer = [0_u8; 256];
    let flags = libc::MSG_DONTWAIT as usize;
    let received = call(libc::SYS_recvfrom, [socket, address(&answer), answer.len(), flags, 0, 0])?;
    // What is no NLMSG_ERROR is an answer.
    let part = |range: std::ops::Range<usize>| answer[..received].get(range).unwrap_or_default();
    let error = match part(4..6) {
        [2, 0] => part(16..20).first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes)),
        _ => 0,
    };
    if error < 0 { Err(io::Error::from_raw_os_error(-error)) } else { Ok(()) }
}
