//! What keeper and supervisor say to each other: one packet each, a fixed head and a key, at most one descriptor.

use std::os::fd::{BorrowedFd, OwnedFd};

use hull_sys::message;
use nix::errno::Errno;

/// The longest key, in bytes.
pub(super) const MAX_KEY: usize = 255;
const HEAD: usize = 1 + 4 + 4 + 4 + 8;
/// A listing's packets may be longer than a key.
pub(super) const MAX_PACKET: usize = HEAD + 16 * 1024;

macro_rules! kinds {
    ($($kind:ident = $number:literal),* $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Kind { $($kind = $number),* }
        impl Kind {
            fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$kind),)* _ => None }
            }
        }
    };
}

kinds! {
    // Asked by the supervisor
    Store = 1, Fetch = 2, Discard = 3, List = 4, Status = 5, Ready = 6,
    // Answered by the keeper
    Done = 16, Missing = 17, Listed = 18, Failed = 19,
    // Said by the keeper unasked
    Exited = 32, Terminate = 33,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: Kind,
    /// Joins a question and its answer.
    pub(super) tag: u32,
    pub(super) pid: i32,
    /// A wait status, an error number, or what kind of end is asked for.
    pub(super) number: i32,
    /// When the process started, in clock ticks since boot.
    pub(super) started: u64,
    pub(super) key: Vec<u8>,
}

impl Message {
    pub(super) fn new(kind: Kind, tag: u32) -> Self {
        Self { kind, tag, pid: 0, number: 0, started: 0, key: Vec::new() }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.key.len());
        bytes.push(self.kind as u8);
        bytes.extend(self.tag.to_le_bytes());
        bytes.extend(self.pid.to_le_bytes());
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.started.to_le_bytes());
        bytes.extend(&self.key);
        bytes
    }

    /// `None`: not one of ours.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (tag, rest) = rest.split_first_chunk()?;
        let (pid, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (started, key) = rest.split_first_chunk()?;
        Some(Self {
            kind: Kind::from_number(*kind)?,
            tag: u32::from_le_bytes(*tag),
            pid: i32::from_le_bytes(*pid),
            number: i32::from_le_bytes(*number),
            started: u64::from_le_bytes(*started),
            key: key.to_vec(),
        })
    }
}

/// What is understood of a packet, written down again.
pub(crate) fn reread(bytes: &[u8]) -> Option<Vec<u8>> {
    Message::decode(bytes).map(|message| message.encode())
}

/// The next message and its descriptor; `None` at the end of the connection.
///
/// # Errors
/// `EAGAIN`: nothing is there now. `EBADMSG`: not one of ours.
pub(super) fn receive(socket: BorrowedFd) -> nix::Result<Option<(Message, Option<OwnedFd>)>> {
    let mut buffer = [0; MAX_PACKET];
    let (length, descriptors) = message::receive(socket, &mut buffer)?;
    if length == 0 {
        return Ok(None);
    }
    let message = Message::decode(&buffer[..length]).ok_or(Errno::EBADMSG)?;
    Ok(Some((message, descriptors.into_iter().next())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_said_is_heard() {
        let said = Message {
            pid: 7,
            number: -1,
            started: 1 << 40,
            key: b"plugin/a/b".to_vec(),
            ..Message::new(Kind::Store, 9)
        };
        assert_eq!(Message::decode(&said.encode()).unwrap(), said);
    }

    proptest! {
        #[test]
        fn no_packet_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(message) = Message::decode(&bytes) {
                prop_assert_eq!(message.encode(), bytes);
            }
        }
    }
}
