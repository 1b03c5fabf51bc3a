//! What hulld gives up at its start, and with it all that it starts: powers over the host that no part of it uses.
//!
//! A user namespace has a full set of its own, so nothing of this reaches containers. `no_new_privs` would, for ever, and set-user-id
//! programs would not work in them: that is why hulld does without it, and each plugin has it.

use std::collections::HashSet;

use caps::{CapSet, Capability};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};

/// What hulld uses itself, and what a driver may be given over the host.
const USED: [Capability; 17] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_KILL,
    Capability::CAP_MKNOD,
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_NET_RAW,
    Capability::CAP_SETFCAP,
    Capability::CAP_SETGID,
    Capability::CAP_SETPCAP,
    Capability::CAP_SETUID,
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_SYS_RESOURCE,
];

/// Gives up capabilities, core files and foreign eyes on new files.
///
/// # Errors
/// In words; none of it is worth not starting for.
pub(super) fn trim() -> Result<(), String> {
    umask(Mode::from_bits_retain(0o077));
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(|error| format!("cannot forbid core files: {error}"))?;
    let failed = |error: caps::errors::CapsError| format!("cannot give up capabilities: {error}");
    let owned = caps::read(None, CapSet::Permitted).map_err(failed)?;
    let kept: HashSet<Capability> = USED.into_iter().filter(|capability| owned.contains(capability)).collect();
    for capability in caps::runtime::thread_all_supported().difference(&kept) {
        caps::drop(None, CapSet::Bounding, *capability).map_err(failed)?;
    }
    caps::clear(None, CapSet::Inheritable).map_err(failed)?;
    caps::set(None, CapSet::Effective, &kept).map_err(failed)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(failed)
}
