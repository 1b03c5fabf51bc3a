//! Starting a program with exactly the descriptors it is to have, without copying this process (`posix_spawn`, vfork).

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;

/// Where copies wait until each is put at its number.
const ABOVE_ALL: RawFd = 128;

/// Starts `program` with `descriptors`: each pair is the number in the child and what goes there. Others are closed as far as
/// they are close-on-exec. The child has no signal blocked and none ignored.
pub fn spawn(
    program: &CStr,
    arguments: &[CString],
    environment: &[CString],
    descriptors: &[(RawFd, BorrowedFd)],
) -> nix::Result<Pid> {
    let mut copies = Vec::new();
    let mut actions = PosixSpawnFileActions::init()?;
    for (number, fd) in descriptors {
        let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(ABOVE_ALL))?;
        // SAFETY: fcntl has just made this descriptor for us; nobody else owns it.
        let copy = unsafe { OwnedFd::from_raw_fd(copy) };
        actions.add_dup2(copy.as_raw_fd(), *number)?;
        copies.push(copy);
    }
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF)?;
    attributes.set_sigmask(&SigSet::empty())?;
    let mut defaults = SigSet::empty();
    defaults.add(Signal::SIGPIPE);
    attributes.set_sigdefault(&defaults)?;
    posix_spawn(program, &actions, &attributes, arguments, environment)
}

/// Text as a C string.
///
/// # Errors
/// `EINVAL`: it has a NUL.
pub fn c_string(text: impl Into<Vec<u8>>) -> nix::Result<CString> {
    CString::new(text).map_err(|_| Errno::EINVAL)
}
