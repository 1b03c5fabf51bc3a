//! Frames of every contract, with descriptors that are not what they should be.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;

use hull_gateway_contract::{ApiRequest, ApiResponse, GatewayRequest, GatewayResponse};
use hull_plugin::image::{ImageSourceRequest, ImageSourceResponse};
use hull_plugin::instance::{InstanceDriverRequest, InstanceDriverResponse};
use hull_plugin::network::{NetworkDriverRequest, NetworkDriverResponse};
use hull_plugin::storage::{StorageDriverRequest, StorageDriverResponse};
use hull_plugin::{HostRequest, HostResponse, LifecycleRequest, LifecycleResponse};
use hull_wire::fuzzing::{Packet, call, reply};

type Take = fn(&[u8], Vec<OwnedFd>) -> io::Result<Packet>;

/// Every message that one process takes from another.
pub(crate) const MESSAGES: [Take; 14] = [
    call::<LifecycleRequest>,
    reply::<LifecycleResponse>,
    call::<HostRequest>,
    reply::<HostResponse>,
    call::<StorageDriverRequest>,
    reply::<StorageDriverResponse>,
    call::<NetworkDriverRequest>,
    reply::<NetworkDriverResponse>,
    call::<InstanceDriverRequest>,
    reply::<InstanceDriverResponse>,
    call::<ImageSourceRequest>,
    reply::<ImageSourceResponse>,
    call::<GatewayRequest>,
    reply::<GatewayResponse>,
];

/// The gateway's other channel.
const API: [Take; 2] = [call::<ApiRequest>, reply::<ApiResponse>];

/// A byte that names the message, one for the number of descriptors, as many for their kinds, then the frame.
pub fn frames(data: &[u8]) {
    let [message, count, rest @ ..] = data else { return };
    let Some((kinds, frame)) = rest.split_at_checked(usize::from(count % 18)) else { return };
    let take = *MESSAGES.iter().chain(&API).cycle().nth(usize::from(*message)).expect("a cycle has no end");
    let Ok((frame, descriptors)) = take(frame, descriptors(kinds)) else { return };
    // What was understood says the same when it is sent on.
    let (again, _) = take(&frame, descriptors).expect("what was written by us is read by us");
    assert_eq!(frame, again);
}

thread_local! {
    static PROTOTYPES: RefCell<Vec<OwnedFd>> = const { RefCell::new(Vec::new()) };
}

/// Copies of descriptors of the kinds there are.
fn descriptors(kinds: &[u8]) -> Vec<OwnedFd> {
    PROTOTYPES.with_borrow_mut(|prototypes| {
        if prototypes.is_empty() {
            *prototypes = all_kinds().expect("descriptors for frames");
        }
        let copy = |kind: &u8| prototypes[usize::from(*kind) % prototypes.len()].try_clone();
        kinds.iter().map(|kind| copy(kind).expect("a copy of a descriptor")).collect()
    })
}

fn all_kinds() -> io::Result<Vec<OwnedFd>> {
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let sealed = memfd_create(c"sealed", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let seals = SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(&sealed, FcntlArg::F_ADD_SEALS(seals))?;
    let (reader, writer) = std::io::pipe()?;
    let (socket, _) = std::os::unix::net::UnixStream::pair()?;
    let open = |path: &str| std::fs::File::open(path).map(OwnedFd::from);
    Ok(vec![
        open("/dev/null")?,
        open("/")?,
        open("/proc/self/exe")?,
        open("/proc/self/ns/net")?,
        open("/proc/self/ns/user")?,
        memfd_create(c"open", MFdFlags::MFD_CLOEXEC)?,
        sealed,
        reader.into(),
        writer.into(),
        socket.into(),
    ])
}
