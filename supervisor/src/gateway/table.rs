//! Which connections are open: the token that the gateway has of each, and who is at its other end.
//!
//! The table outlives the supervisor: it is also in a piece of memory that the keeper keeps, one record a connection, and that
//! no other process is given. Writing a record is one system call; nothing is asked of the keeper.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hull_gateway_contract::Token;
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::PeerCredentials;
use crate::keeper::KeeperClient;

const KEY: &str = "connections";
/// What one user may hold open, what all users but root together, and what root. A gateway has room for all of it
/// (a handful of descriptors and at most some 64 KiB each), so that whoever opens too many shuts out himself.
const MOST_OF_ONE: usize = 1024;
const MOST_OF_ALL: usize = 4096;
const MOST_OF_ROOT: usize = 4096;
/// Token, gateway, user, group, process.
const RECORD: usize = 16 + 4 * 4;

/// Every open connection. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connections(Arc<Mutex<Table>>);

struct Table {
    memory: File,
    open: HashMap<Token, Open>,
    /// How many each user has.
    of_user: HashMap<u32, usize>,
    /// Places of records that are free again.
    free: Vec<u64>,
    /// How many records there are, free ones included.
    length: u64,
}

#[derive(Clone, Copy)]
struct Open {
    peer: PeerCredentials,
    gateway: u32,
    place: u64,
}

impl Connections {
    /// The table that an earlier supervisor kept, or a new one.
    pub(super) async fn load(keeper: &KeeperClient) -> io::Result<Self> {
        if let Some(kept) = keeper.fetch(KEY).await? {
            return Self::read(kept);
        }
        let memory = memfd_create(c"connections", MFdFlags::MFD_CLOEXEC)?;
        keeper.store(KEY, memory.as_fd()).await?;
        Self::read(memory)
    }

    fn read(memory: OwnedFd) -> io::Result<Self> {
        let memory = File::from(memory);
        let size = usize::try_from(memory.metadata()?.len()).map_err(io::Error::other)?;
        let mut bytes = vec![0; size];
        memory.read_exact_at(&mut bytes, 0)?;
        let mut table = Table { memory, open: HashMap::new(), of_user: HashMap::new(), free: Vec::new(), length: 0 };
        for record in bytes.as_chunks::<RECORD>().0 {
            match decode(record, table.length) {
                Some((token, open)) => table.insert(token, open),
                None => table.free.push(table.length),
            }
            table.length += 1;
        }
        Ok(Self(Arc::new(Mutex::new(table))))
    }

    pub(super) fn peer(&self, token: Token) -> Option<PeerCredentials> {
        self.table().open.get(&token).map(|open| open.peer)
    }

    /// `None`: the user, or all users together, have enough.
    ///
    /// # Errors
    /// There is no memory to remember it.
    pub(super) fn opened(&self, peer: PeerCredentials, gateway: u32) -> io::Result<Option<Token>> {
        let token = Token(rand::random());
        let mut table = self.table();
        if !table.has_room_for(peer.uid) {
            return Ok(None);
        }
        let place = table.free.pop().unwrap_or(table.length);
        let open = Open { peer, gateway, place };
        table.memory.write_all_at(&encode(token, open), place * RECORD as u64)?;
        table.length = table.length.max(place + 1);
        table.insert(token, open);
        Ok(Some(token))
    }

    pub(super) fn closed(&self, token: Token) {
        self.table().close(token);
    }

    /// A gateway has ended, and all its connections with it.
    pub(super) fn all_closed(&self, gateway: u32) {
        let mut table = self.table();
        let of_gateway = table.open.iter().filter(|(_, open)| open.gateway == gateway);
        for token in of_gateway.map(|(token, _)| *token).collect::<Vec<_>>() {
            table.close(token);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn has_room_for(&self, user: u32) -> bool {
        let of = |user: u32| self.of_user.get(&user).copied().unwrap_or(0);
        match user {
            0 => of(0) < MOST_OF_ROOT,
            _ => of(user) < MOST_OF_ONE && self.open.len() - of(0) < MOST_OF_ALL,
        }
    }

    fn insert(&mut self, token: Token, open: Open) {
        self.open.insert(token, open);
        *self.of_user.entry(open.peer.uid).or_default() += 1;
    }

    fn close(&mut self, token: Token) {
        let Some(open) = self.open.remove(&token) else { return };
        if let Some(count) = self.of_user.get_mut(&open.peer.uid) {
            *count -= 1;
            if *count == 0 {
                self.of_user.remove(&open.peer.uid);
            }
        }
        match self.memory.write_all_at(&[0; RECORD], open.place * RECORD as u64) {
            Ok(()) => self.free.push(open.place),
            // Its place stays taken: until the next hulld the token is void all the same.
            Err(error) => tracing::error!(%error, "cannot clear the record of a connection"),
        }
    }
}

fn encode(token: Token, open: Open) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..16].copy_from_slice(&token.0.to_le_bytes());
    let PeerCredentials { uid, gid, pid } = open.peer;
    let fields = [open.gateway.to_le_bytes(), uid.to_le_bytes(), gid.to_le_bytes(), pid.to_le_bytes()];
    record[16..].copy_from_slice(fields.as_flattened());
    record
}

/// `None`: a free place.
fn decode(record: &[u8; RECORD], place: u64) -> Option<(Token, Open)> {
    let (token, rest) = record.split_first_chunk()?;
    let token = u128::from_le_bytes(*token);
    let (fields, _) = rest.as_chunks::<4>();
    let &[gateway, uid, gid, pid] = <&[[u8; 4]; 4]>::try_from(fields).ok()?;
    let peer =
        PeerCredentials { uid: u32::from_le_bytes(uid), gid: u32::from_le_bytes(gid), pid: i32::from_le_bytes(pid) };
    (token != 0).then(|| (Token(token), Open { peer, gateway: u32::from_le_bytes(gateway), place }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uid: u32) -> PeerCredentials {
        PeerCredentials { uid, gid: uid + 1, pid: 7 }
    }

    #[tokio::test]
    async fn the_next_supervisor_knows_the_open_connections_and_no_others() {
        let (socket, _thread) = crate::keeper::in_thread().unwrap();
        let keeper = KeeperClient::connect(socket).unwrap();
        let first = Connections::load(&keeper).await.unwrap();
        let tokens: Vec<Token> = (0..10).map(|uid| first.opened(peer(uid), 1 + uid % 2).unwrap().unwrap()).collect();
        first.closed(tokens[3]);
        first.all_closed(1);

        let next = Connections::load(&keeper).await.unwrap();
        for (uid, token) in (0..).zip(&tokens) {
            let expected = (uid % 2 == 1 && uid != 3).then(|| peer(uid));
            assert_eq!(next.peer(*token), expected, "{uid}");
        }
        let again = next.opened(peer(77), 9).unwrap().unwrap();
        assert_eq!(next.table().length, 10, "free places are used again");
        assert_eq!(Connections::load(&keeper).await.unwrap().peer(again), Some(peer(77)));
        assert_eq!(next.peer(Token(0)), None);
    }

    #[test]
    fn who_opens_too_many_shuts_out_nobody_else() {
        let memory = memfd_create(c"connections", MFdFlags::MFD_CLOEXEC).unwrap();
        let connections = Connections::read(memory).unwrap();
        let open = |uid: u32| connections.opened(peer(uid), 1).unwrap();
        let first = open(1000).unwrap();
        assert_eq!((1..2 * MOST_OF_ONE).filter_map(|_| open(1000)).count(), MOST_OF_ONE - 1);
        assert!(open(1001).is_some());
        connections.closed(first);
        connections.closed(first); // said twice, counted once
        assert!(open(1000).is_some() && open(1000).is_none());

        for uid in 1002..1010 {
            assert!((0..MOST_OF_ONE).filter_map(|_| open(uid)).count() > 0 || uid > 1004);
        }
        assert!(open(2000).is_none(), "all users together have a bound");
        assert_eq!((0..2 * MOST_OF_ROOT).filter_map(|_| open(0)).count(), MOST_OF_ROOT);
        connections.all_closed(1);
        assert!(open(1000).is_some());
    }
}
