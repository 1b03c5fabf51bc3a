//! Sequenced-packet sockets that carry descriptors: one packet is one message, its descriptors travel with it.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
};

/// The most descriptors accepted in one packet.
pub const MAX_DESCRIPTORS: usize = 16;

/// A connected pair of `SOCK_SEQPACKET` sockets, close-on-exec, non-blocking.
pub fn packet_pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
}

/// A connected pair of blocking `SOCK_SEQPACKET` sockets, for processes without an event loop.
pub fn blocking_packet_pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// Sends one packet. Fails with `EMSGSIZE` rather than sending a part of it, and never raises `SIGPIPE`.
pub fn send(socket: BorrowedFd, bytes: &[u8], descriptors: &[OwnedFd]) -> nix::Result<()> {
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage] = if raw.is_empty() { &[] } else { &rights };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// Receives one packet into `buffer` and returns its length and descriptors; length 0 is the end.
///
/// # Errors
/// `EMSGSIZE`: the packet was longer than `buffer` or carried more than [`MAX_DESCRIPTORS`]; its descriptors are closed.
pub fn receive(socket: BorrowedFd, buffer: &mut [u8]) -> nix::Result<(usize, Vec<OwnedFd>)> {
    let mut control = nix::cmsg_space!([RawFd; MAX_DESCRIPTORS]);
    let mut slices = [IoSliceMut::new(buffer)];
    let received = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let truncated = received.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC);
    let length = received.bytes;
    let mut descriptors = Vec::new();
    for message in received.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = message {
            // SAFETY: the kernel has just installed these descriptors for us; nobody else owns them.
            descriptors.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    if truncated {
        return Err(Errno::EMSGSIZE);
    }
    Ok((length, descriptors))
}

/// Takes ownership of a descriptor inherited through exec.
///
/// # Errors
/// `EBADF`: this process was not started with that descriptor.
pub fn inherited(number: RawFd) -> nix::Result<OwnedFd> {
    // SAFETY: F_GETFD only reads the descriptor table.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(Errno::last());
    }
    // SAFETY: the descriptor exists, and by the contract of exec with this number it was left to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
