//! The descriptor store and the memory of the dead, and the answers to the supervisor's questions about them.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_sys::{message as packets, process};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::message::{Kind, MAX_KEY, MAX_PACKET, Message, receive};

/// How many of the dead are remembered.
const REMEMBERED: usize = 1024;
/// Unasked news that the supervisor does not take are dropped beyond this; it asks when it wants to know.
const MAX_QUEUE: usize = 4096;

/// A child that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dead {
    pub(super) pid: i32,
    pub(super) started: u64,
    pub(super) status: i32,
}

#[derive(Default)]
pub(super) struct Store {
    descriptors: BTreeMap<Vec<u8>, OwnedFd>,
    dead: VecDeque<Dead>,
    /// Answers and news that the socket did not take yet.
    outgoing: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
    reaps: bool,
}

/// What the run loop must do beyond answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    Ready,
    Closed,
}

impl Store {
    /// A store whose process is the subreaper.
    pub(super) fn reaping() -> Self {
        Self { reaps: true, ..Self::default() }
    }

    pub(super) fn wants_to_send(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// A new supervisor: what the old one did not take is void.
    pub(super) fn forget_outgoing(&mut self) {
        self.outgoing.clear();
    }

    /// Reaps every ended child and returns them; all are remembered.
    pub(super) fn reap(&mut self) -> Vec<Dead> {
        let mut found = Vec::new();
        while let Ok(Some(pid)) = process::ended_child() {
            // Still a zombie, so its number is still its own.
            let started = process::start_time(pid).unwrap_or(0);
            let Ok(status) = process::reap(pid) else { break };
            found.push(Dead { pid, started, status });
        }
        for dead in &found {
            self.dead.push_back(*dead);
            if self.dead.len() > REMEMBERED {
                self.dead.pop_front();
            }
        }
        found
    }

    pub(super) fn tell(&mut self, dead: &Dead) {
        if self.outgoing.len() < MAX_QUEUE {
            let news =
                Message { pid: dead.pid, number: dead.status, started: dead.started, ..Message::new(Kind::Exited, 0) };
            self.outgoing.push_back((news.encode(), None));
        }
    }

    pub(super) fn ask_to_end(&mut self, how: i32) {
        let wish = Message { number: how, ..Message::new(Kind::Terminate, 0) };
        self.outgoing.push_front((wish.encode(), None));
    }

    /// Takes everything that can be read now, and answers.
    pub(super) fn listen(&mut self, socket: BorrowedFd) -> Heard {
        let mut heard = Heard::Nothing;
        loop {
            match receive(socket) {
                Ok(Some((message, _))) if message.kind == Kind::Ready => heard = Heard::Ready,
                Ok(Some((message, descriptor))) => self.answer(message, descriptor),
                Ok(None) => return Heard::Closed,
                Err(Errno::EAGAIN) => return heard,
                Err(Errno::EBADMSG | Errno::EMSGSIZE | Errno::EINTR) => {}
                Err(_) => return Heard::Closed,
            }
        }
    }

    /// Sends what the socket takes.
    pub(super) fn flush(&mut self, socket: BorrowedFd) {
        while let Some((bytes, descriptor)) = self.outgoing.pop_front() {
            let sent = packets::send(socket, &bytes, descriptor.as_slice());
            if sent == Err(Errno::EAGAIN) {
                return self.outgoing.push_front((bytes, descriptor));
            }
        }
    }

    fn answer(&mut self, message: Message, descriptor: Option<OwnedFd>) {
        let Message { kind, tag, pid, started, key, .. } = message;
        let reply = |kind| Message::new(kind, tag);
        let failed = |error: Errno| Message { number: error as i32, ..Message::new(Kind::Failed, tag) };
        match (kind, descriptor) {
            (Kind::Store, Some(_)) if key.len() > MAX_KEY => self.say(&failed(Errno::ENAMETOOLONG), None),
            (Kind::Store, Some(descriptor)) => {
                self.descriptors.insert(key, descriptor);
                self.say(&reply(Kind::Done), None);
            }
            (Kind::Fetch, _) => match self.descriptors.get(&key).map(OwnedFd::try_clone) {
                None => self.say(&reply(Kind::Missing), None),
                Some(Ok(copy)) => self.say(&reply(Kind::Done), Some(copy)),
                Some(Err(_)) => self.say(&failed(Errno::EMFILE), None),
            },
            (Kind::Discard, _) => {
                self.descriptors.remove(&key);
                self.say(&reply(Kind::Done), None);
            }
            (Kind::List, _) => self.list(tag, &key),
            (Kind::Status, _) => self.status(tag, pid, started),
            _ => self.say(&failed(Errno::EINVAL), None),
        }
    }

    /// Keys with a prefix, NUL between them, in packets; an empty one ends the list.
    fn list(&mut self, tag: u32, prefix: &[u8]) {
        let mut packets = vec![Vec::new()];
        for key in self.descriptors.keys().filter(|key| key.starts_with(prefix)) {
            if packets.last().is_some_and(|packet: &Vec<u8>| packet.len() + key.len() > MAX_PACKET - 512) {
                packets.push(Vec::new());
            }
            if let Some(packet) = packets.last_mut() {
                packet.extend(key);
                packet.push(0);
            }
        }
        packets.push(Vec::new());
        for (index, key) in packets.into_iter().enumerate() {
            if index > 0 || !key.is_empty() {
                self.say(&Message { key, ..Message::new(Kind::Listed, tag) }, None);
            }
        }
    }

    /// How a child ended. It may have this moment: look first.
    fn status(&mut self, tag: u32, pid: i32, started: u64) {
        if self.reaps {
            for dead in self.reap() {
                self.tell(&dead);
            }
        }
        let found = self.dead.iter().rev().find(|dead| dead.pid == pid && (started == 0 || dead.started == started));
        let answer = match found {
            Some(dead) => Message { number: dead.status, pid, started: dead.started, ..Message::new(Kind::Done, tag) },
            None => Message::new(Kind::Missing, tag),
        };
        self.say(&answer, None);
    }

    fn say(&mut self, message: &Message, descriptor: Option<OwnedFd>) {
        self.outgoing.push_back((message.encode(), descriptor));
    }
}

/// A store served by a thread of this process, which reaps nothing: for tests. It ends when the socket's other end closes.
pub fn in_thread() -> nix::Result<(OwnedFd, std::thread::JoinHandle<()>)> {
    let (ours, theirs) = packets::packet_pair()?;
    let thread = std::thread::spawn(move || {
        let mut store = Store::default();
        loop {
            let wanted = if store.wants_to_send() { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
            let mut set = [PollFd::new(ours.as_fd(), wanted)];
            if poll(&mut set, PollTimeout::NONE).is_err() || store.listen(ours.as_fd()) == Heard::Closed {
                return;
            }
            store.flush(ours.as_fd());
        }
    });
    Ok((theirs, thread))
}
