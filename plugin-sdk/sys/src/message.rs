//! Sequenced-packet sockets that carry descriptors: one packet is one message, its descriptors travel with it.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair};

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
    // Not nix's `recvmsg`: of a packet whose descriptors did not all fit it gives none, and those that did stay open.
    let mut control = nix::cmsg_space!([RawFd; MAX_DESCRIPTORS]);
    let mut slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zeros are a valid `msghdr`: no name, no buffers.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut slice;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = control.capacity();
    // SAFETY: the header's pointers are to buffers of the lengths beside them, which live until after the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
    let length = usize::try_from(length).map_err(|_| Errno::last())?;
    let descriptors = taken(&header);
    if header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
        return Err(Errno::EMSGSIZE);
    }
    Ok((length, descriptors))
}

/// The descriptors that came with a packet: all that the kernel has installed, however many it could not.
fn taken(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    // SAFETY: the kernel has filled the control buffer in and set its length; the macros stay within it. The descriptors
    // have just been installed for us, and nobody else owns them.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(head) = message.as_ref() {
            if head.cmsg_level == libc::SOL_SOCKET && head.cmsg_type == libc::SCM_RIGHTS {
                let bytes = head.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
                let data = libc::CMSG_DATA(message).cast::<RawFd>();
                for index in 0..bytes / size_of::<RawFd>() {
                    descriptors.push(OwnedFd::from_raw_fd(data.add(index).read_unaligned()));
                }
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    descriptors
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn open() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }

    fn pipes(count: usize) -> Vec<OwnedFd> {
        (0..count).map(|_| std::io::pipe().unwrap().0.into()).collect()
    }

    /// Both in one test: they count this process's descriptors.
    #[test]
    fn descriptors_arrive_and_too_many_are_closed() {
        let (ours, theirs) = packet_pair().unwrap();
        send(theirs.as_fd(), b"three", &pipes(3)).unwrap();
        let (length, descriptors) = receive(ours.as_fd(), &mut [0; 16]).unwrap();
        assert_eq!((length, descriptors.len()), (5, 3));
        drop(descriptors);

        let before = open();
        for _ in 0..10 {
            send(theirs.as_fd(), b"many", &pipes(MAX_DESCRIPTORS + 4)).unwrap();
            assert_eq!(receive(ours.as_fd(), &mut [0; 16]).unwrap_err(), Errno::EMSGSIZE);
            send(theirs.as_fd(), b"longer than the buffer", &pipes(2)).unwrap();
            assert_eq!(receive(ours.as_fd(), &mut [0; 16]).unwrap_err(), Errno::EMSGSIZE);
        }
        assert_eq!(open(), before, "descriptors of refused packets stay open");
    }
}
