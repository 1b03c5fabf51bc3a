//! The transport between Hull's processes: tarpc messages as bincode frames on sequenced-packet sockets,
//! with file descriptors as ordinary fields of the messages.
//!
//! One packet is one frame: at most [`MAX_FRAME`] bytes and [`MAX_DESCRIPTORS`] descriptors. A frame that lies about its
//! length, its content or its descriptors ends the connection it came by and nothing else. Larger things travel by
//! descriptor. Start with [`connect`] and [`accept`]; [`Fd`] is how a descriptor stands in a message.

mod deadline;
mod fd;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod transport;
mod vigil;

pub use deadline::{MAX_DEADLINE, RequestId, context, request_id};
pub use fd::{
    AnyFd, CharacterDevice, DeviceFd, Directory, DirectoryFd, Fd, FdKind, File, FileFd, Memory, MemoryFd, Mount,
    MountFd, NetworkNamespace, NetworkNamespaceFd, Pipe, PipeFd, Process, ProcessFd, Socket, SocketFd, Stream,
    StreamFd, UserNamespace, UserNamespaceFd,
};
pub use hull_sys::message::MAX_DESCRIPTORS;
pub use transport::{ClientTransport, MAX_FRAME, ServerTransport, accept, connect};
