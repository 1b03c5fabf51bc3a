//! Descriptors as message fields.
//!
//! On the wire an [`Fd`] is an index into the descriptors of its frame. While a frame is being encoded or decoded the
//! descriptors wait in a thread-local list, which is sound because neither ever awaits.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_sys::descriptor::{self, Kind};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

thread_local! {
    static OUTGOING: RefCell<Vec<OwnedFd>> = const { RefCell::new(Vec::new()) };
    static INCOMING: RefCell<Vec<Option<OwnedFd>>> = const { RefCell::new(Vec::new()) };
}

/// A descriptor inside a message; `K` says what it must be, and the receiving side checks it.
pub struct Fd<K> {
    owned: OwnedFd,
    kind: PhantomData<fn() -> K>,
}

/// What an [`Fd`] may stand for.
pub trait FdKind {
    /// How errors call it.
    const NAME: &'static str;
    /// Whether a descriptor of this kernel kind will do.
    fn accepts(kind: Kind) -> bool;
}

impl<K> Fd<K> {
    /// Wraps a descriptor that is about to be sent.
    pub fn new(fd: impl Into<OwnedFd>) -> Self {
        Self { owned: fd.into(), kind: PhantomData }
    }

    /// The descriptor itself.
    pub fn into_owned(self) -> OwnedFd {
        self.owned
    }

    /// A second descriptor for the same open file.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        self.owned.try_clone().map(Self::new)
    }
}

impl<K> AsFd for Fd<K> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.owned.as_fd()
    }
}

impl<K> From<OwnedFd> for Fd<K> {
    fn from(owned: OwnedFd) -> Self {
        Self::new(owned)
    }
}

impl<K: FdKind> fmt::Debug for Fd<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", K::NAME)
    }
}

impl<K: FdKind> Serialize for Fd<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let copy = self.owned.try_clone().map_err(S::Error::custom)?;
        let index = OUTGOING.with_borrow_mut(|list| {
            list.push(copy);
            list.len() - 1
        });
        u32::try_from(index).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de, K: FdKind> Deserialize<'de> for Fd<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let index = u32::deserialize(deserializer)? as usize;
        let taken = INCOMING.with_borrow_mut(|list| list.get_mut(index).and_then(Option::take));
        let owned = taken.ok_or_else(|| D::Error::custom(format!("no descriptor {index} in this frame")))?;
        let kind = descriptor::kind(&owned).map_err(D::Error::custom)?;
        if !K::accepts(kind) {
            return Err(D::Error::custom(format!("descriptor {index} is a {kind:?}, not a {}", K::NAME)));
        }
        Ok(Self::new(owned))
    }
}

/// Runs `encode` and returns its result with the descriptors it met.
pub(crate) fn collecting<T>(encode: impl FnOnce() -> T) -> (T, Vec<OwnedFd>) {
    OUTGOING.with_borrow_mut(Vec::clear);
    let result = encode();
    (result, OUTGOING.take())
}

/// Runs `decode` with the descriptors of a frame at hand; the second result counts those it did not take.
pub(crate) fn providing<T>(descriptors: Vec<OwnedFd>, decode: impl FnOnce() -> T) -> (T, usize) {
    INCOMING.set(descriptors.into_iter().map(Some).collect());
    let result = decode();
    let left = INCOMING.take().into_iter().flatten().count();
    (result, left)
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident, $alias:ident = $name:literal, [$($pattern:tt)*];)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $kind {}
        impl FdKind for $kind {
            const NAME: &'static str = $name;
            fn accepts(kind: Kind) -> bool {
                matches!(kind, $($pattern)*)
            }
        }
        $(#[$doc])*
        pub type $alias = Fd<$kind>;
    )*};
}

kinds! {
    /// Anything; for the descriptor store, which only keeps what it is given.
    Any, AnyFd = "descriptor", [_];
    /// A detached mount (`open_tree(OPEN_TREE_CLONE)`, `fsmount`): a directory or, for a mounted file, a file.
    Mount, MountFd = "mount", [Kind::Directory | Kind::File];
    /// An open directory, possibly `O_PATH`.
    Directory, DirectoryFd = "directory", [Kind::Directory];
    /// A regular file or block device: content with a size.
    File, FileFd = "file", [Kind::File | Kind::SealedMemory | Kind::BlockDevice];
    /// One end of a pipe.
    Pipe, PipeFd = "pipe", [Kind::Pipe];
    /// A socket.
    Socket, SocketFd = "socket", [Kind::Socket];
    /// Anything that bytes can be streamed through: a pipe, socket, terminal or file.
    Stream, StreamFd = "stream", [Kind::Pipe | Kind::Socket | Kind::CharacterDevice | Kind::File | Kind::SealedMemory];
    /// A terminal or another character device.
    CharacterDevice, DeviceFd = "character device", [Kind::CharacterDevice | Kind::BlockDevice];
    /// A network namespace.
    NetworkNamespace, NetworkNamespaceFd = "network namespace", [Kind::NetworkNamespace];
    /// A user namespace.
    UserNamespace, UserNamespaceFd = "user namespace", [Kind::UserNamespace];
    /// A process (pidfd).
    Process, ProcessFd = "process", [Kind::Process];
    /// Anonymous memory, sealed against change: documents and secrets too large or too private for a frame.
    Memory, MemoryFd = "sealed memory", [Kind::SealedMemory];
}
