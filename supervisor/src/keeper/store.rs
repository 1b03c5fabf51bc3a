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
    descriptors: BTreeMap<Vec<u8>, Vec<OwnedFd>>,
    dead: VecDeque<Dead>,
    /// Answers and news that the socket did not take yet.
    outgoing: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    reaps: bool,
    /// How the last succession went, for the supervisor to ask: a number and the reason.
    verdict: Option<(i32, String)>,
}

/// What the run loop must do beyond answering.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The supervisor answers requests.
    pub(super) ready: bool,
    /// The program to start when this supervisor leaves.
    pub(super) next: Option<OwnedFd>,
    pub(super) closed: bool,
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
            self.outgoing.push_back((news.encode(), Vec::new()));
        }
    }

    pub(super) fn ask_to_end(&mut self, how: i32) {
        let wish = Message { number: how, ..Message::new(Kind::Terminate, 0) };
        self.outgoing.push_front((wish.encode(), Vec::new()));
    }

    /// Takes everything that can be read now, and answers.
    pub(super) fn listen(&mut self, socket: BorrowedFd) -> Heard {
        let mut heard = Heard::default();
        loop {
            match receive(socket) {
                Ok(Some((message, _))) if message.kind == Kind::Ready => heard.ready = true,
                Ok(Some((message, descriptors))) if message.kind == Kind::Next => {
                    heard.next = descriptors.into_iter().next().or(heard.next);
                    self.say(&Message::new(Kind::Done, message.tag), Vec::new());
                }
                Ok(Some((message, descriptors))) => self.answer(message, descriptors),
                Err(Errno::EAGAIN) => return heard,
                Err(Errno::EBADMSG | Errno::EMSGSIZE | Errno::EINTR) => {}
                Ok(None) | Err(_) => {
                    heard.closed = true;
                    return heard;
                }
            }
        }
    }

    /// Sends what the socket takes.
    pub(super) fn flush(&mut self, socket: BorrowedFd) {
        while let Some((bytes, descriptors)) = self.outgoing.pop_front() {
            let sent = packets::send(socket, &bytes, &descriptors);
            if sent == Err(Errno::EAGAIN) {
                return self.outgoing.push_front((bytes, descriptors));
            }
        }
    }

    pub(super) fn judge(&mut self, verdict: Option<(i32, String)>) {
        self.verdict = verdict;
    }

    fn answer(&mut self, message: Message, descriptors: Vec<OwnedFd>) {
        let Message { kind, tag, pid, started, key, .. } = message;
        let reply = |kind| Message::new(kind, tag);
        let failed = |error: Errno| Message { number: error as i32, ..Message::new(Kind::Failed, tag) };
        match kind {
            Kind::Store if key.len() > MAX_KEY => self.say(&failed(Errno::ENAMETOOLONG), Vec::new()),
            Kind::Store if !descriptors.is_empty() => {
                self.descriptors.insert(key, descriptors);
                self.say(&reply(Kind::Done), Vec::new());
            }
            Kind::Fetch => {
                let copies = |kept: &Vec<OwnedFd>| kept.iter().map(OwnedFd::try_clone).collect::<Result<Vec<_>, _>>();
                match self.descriptors.get(&key).map(copies) {
                    None => self.say(&reply(Kind::Missing), Vec::new()),
                    Some(Ok(copies)) => self.say(&reply(Kind::Done), copies),
                    Some(Err(_)) => self.say(&failed(Errno::EMFILE), Vec::new()),
                }
            }
            Kind::Discard => {
                self.descriptors.remove(&key);
                self.say(&reply(Kind::Done), Vec::new());
            }
            Kind::List => self.list(tag, &key),
            Kind::Status => self.status(tag, pid, started),
            Kind::Verdict => match self.verdict.clone() {
                None => self.say(&reply(Kind::Missing), Vec::new()),
                Some((number, why)) => {
                    self.say(&Message { number, key: why.into_bytes(), ..reply(Kind::Done) }, Vec::new());
                }
            },
            _ => self.say(&failed(Errno::EINVAL), Vec::new()),
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
                self.say(&Message { key, ..Message::new(Kind::Listed, tag) }, Vec::new());
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
        self.say(&answer, Vec::new());
    }

    fn say(&mut self, message: &Message, descriptors: Vec<OwnedFd>) {
        self.outgoing.push_back((message.encode(), descriptors));
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
            if poll(&mut set, PollTimeout::NONE).is_err() || store.listen(ours.as_fd()).closed {
                return;
            }
            store.flush(ours.as_fd());
        }
    });
    Ok((theirs, thread))
}
