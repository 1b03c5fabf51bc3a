//! Splitting a single-threaded process into new namespaces, and the last privileges it gives up.

use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

/// Which side of [`split`] this is.
#[derive(Debug)]
pub enum Side {
    Parent { child: i32, process: OwnedFd },
    Child,
}

/// Who waits for the child of [`split`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guardian {
    /// This process; when it ends, the nearest subreaper.
    This,
    /// The parent of this process: the two become siblings.
    Parent,
}

/// Forks into new namespaces (`CLONE_NEW*`).
///
/// # Errors
/// `EBUSY`: this process has more than one thread, so the child could find a lock held for ever.
pub fn split(namespaces: i32, guardian: Guardian) -> nix::Result<Side> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads != 1 {
        return Err(Errno::EBUSY);
    }
    let mut process: RawFd = -1;
    // SAFETY: an all-zero `clone_args` is a valid value of this plain structure.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    let parent = if guardian == Guardian::Parent { libc::CLONE_PARENT } else { 0 };
    let flags = namespaces | parent | libc::CLONE_PIDFD;
    arguments.flags = u64::try_from(flags).map_err(|_| Errno::EINVAL)?;
    // With CLONE_PARENT the kernel takes the exit signal from the caller's own and wants none here.
    arguments.exit_signal = if guardian == Guardian::Parent { 0 } else { libc::SIGCHLD as u64 };
    arguments.pidfd = (&raw mut process).addr() as u64;
    // SAFETY: like fork (no CLONE_VM) in a process with one thread: the child continues on a copy of everything.
    let child = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    let child = i32::try_from(Errno::result(child)?).map_err(|_| Errno::EOVERFLOW)?;
    if child == 0 {
        return Ok(Side::Child);
    }
    // SAFETY: the kernel has just installed this descriptor for us; nobody else owns it.
    Ok(Side::Parent { child, process: unsafe { OwnedFd::from_raw_fd(process) } })
}

/// Closes every descriptor from `first` on at the next exec.
pub fn close_on_exec_from(first: u32) -> nix::Result<()> {
    // SAFETY: only marks descriptors; ownership does not change.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(result).map(drop)
}

/// Lets exactly this descriptor survive exec.
pub fn keep_over_exec(fd: BorrowedFd) -> nix::Result<()> {
    // SAFETY: F_SETFD changes one flag of a borrowed descriptor.
    Errno::result(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) }).map(drop)
}

/// No exec of this process or its children raises privileges any more.
pub fn no_new_privileges() -> nix::Result<()> {
    // SAFETY: prctl with integers only.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }).map(drop)
}

/// Replaces the real, effective and saved ids; supplementary groups are dropped.
pub fn become_user(user: u32, group: u32) -> nix::Result<()> {
    nix::unistd::setgroups(&[])?;
    let group = nix::unistd::Gid::from_raw(group);
    nix::unistd::setresgid(group, group, group)?;
    let user = nix::unistd::Uid::from_raw(user);
    nix::unistd::setresuid(user, user, user)
}

/// A procfs of the current pid namespace, detached, that shows only processes the reader may trace.
pub fn private_procfs() -> nix::Result<OwnedFd> {
    // SAFETY: valid C strings; fsopen returns a new descriptor.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, c"proc".as_ptr(), 1) })?; // FSOPEN_CLOEXEC
    configure(&context, 1, Some((c"hidepid", c"ptraceable")))?; // FSCONFIG_SET_STRING
    configure(&context, 6, None)?; // FSCONFIG_CMD_CREATE
    let attributes = libc::c_uint::from(0x2_u8 | 0x4 | 0x8); // nosuid, nodev, noexec
    // SAFETY: integers only; fsmount returns a new descriptor.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), 1, attributes) })
}

fn configure(context: &OwnedFd, command: i32, pair: Option<(&std::ffi::CStr, &std::ffi::CStr)>) -> nix::Result<()> {
    let null = std::ptr::null();
    let (key, value) = pair.map_or((null, null), |(key, value)| (key.as_ptr(), value.as_ptr()));
    // SAFETY: key and value are null or C strings that live through the call.
    let result = unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0) };
    Errno::result(result).map(drop)
}

fn owned(result: libc::c_long) -> nix::Result<OwnedFd> {
    let fd = RawFd::try_from(Errno::result(result)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just installed this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
