//! Making processes and becoming another program, for single-threaded helpers.

use std::convert::Infallible;
use std::ffi::CStr;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000; // linux/sched.h
const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2; // linux/close_range.h
const CAPABILITY_VERSION_3: u32 = 0x2008_0522; // linux/capability.h

/// Which of the two processes returned.
#[derive(Debug)]
pub enum Forked {
    /// This is the new process.
    Child,
    /// This is the old one: the child's pid here, and a descriptor for it.
    Parent(i32, OwnedFd),
}

/// `clone3`: a child in new namespaces `flags`, on cgroup v2 born in `cgroup`. Its end raises `SIGCHLD`.
///
/// The child is a copy of the calling thread alone, so this is for single-threaded programs: they may go on as usual.
///
/// # Errors
/// `EBUSY`, `EACCES`: the cgroup takes no process, or not from us.
pub fn fork_into(flags: CloneFlags, cgroup: Option<BorrowedFd>) -> nix::Result<Forked> {
    let mut pidfd: RawFd = -1;
    // SAFETY: an all-zero `clone_args` is a valid value of this plain structure.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::from(flags.bits().cast_unsigned()) | libc::CLONE_PIDFD as u64;
    arguments.pidfd = &raw mut pidfd as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::try_from(cgroup.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    }
    // SAFETY: without CLONE_VM the child gets a copy of the address space, as with fork; by this function's contract the
    // program is single-threaded, so no lock can be left held in the copy. `arguments` and `pidfd` live through the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>()) };
    match Errno::result(pid)? {
        0 => Ok(Forked::Child),
        pid => {
            // SAFETY: the kernel has just installed this descriptor for us.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Forked::Parent(i32::try_from(pid).map_err(|_| Errno::EOVERFLOW)?, pidfd))
        }
    }
}

/// Ends the process at once: no destructor, no exit handler. For children of [`fork_into`].
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no precondition.
    unsafe { libc::_exit(code) }
}

/// Marks every descriptor from `first` on close-on-exec.
pub fn close_on_exec_from(first: RawFd) -> nix::Result<()> {
    // SAFETY: this changes flags only.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
    Errno::result(result).map(drop)
}

/// Makes `fd` the descriptor `number` of this process, kept across exec; what was there is closed.
pub fn duplicate_onto(fd: BorrowedFd, number: RawFd) -> nix::Result<()> {
    // SAFETY: the number stays open, as another file: whoever owns it can go on using and closing it.
    Errno::result(unsafe { libc::dup2(fd.as_raw_fd(), number) })?;
    // dup2 onto itself would have kept the flag.
    // SAFETY: this changes a flag only.
    Errno::result(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }).map(drop)
}

/// Installs a compiled seccomp filter: an array of `struct sock_filter` as bytes.
///
/// # Errors
/// `EINVAL`: no valid program. `EACCES`: neither `CAP_SYS_ADMIN` nor `no_new_privs`.
pub fn install_filter(program: &[u8]) -> nix::Result<()> {
    let mut instructions: Vec<libc::sock_filter> = program
        .chunks_exact(8)
        .map(|bytes| libc::sock_filter {
            code: u16::from_ne_bytes([bytes[0], bytes[1]]),
            jt: bytes[2],
            jf: bytes[3],
            k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        })
        .collect();
    let length = libc::c_ushort::try_from(instructions.len()).map_err(|_| Errno::EINVAL)?;
    let program = libc::sock_fprog { len: length, filter: instructions.as_mut_ptr() };
    // SAFETY: `program` and its instructions live through the call, which copies them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    Errno::result(result).map(drop)
}

/// Forbids this process and all its descendants the capabilities of `dropped` (numbers), for ever, and takes them away now.
pub fn drop_capabilities(dropped: &[u32]) -> nix::Result<()> {
    let mut keep = [u32::MAX; 2];
    for &number in dropped {
        // SAFETY: plain numbers.
        match Errno::result(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) }) {
            Ok(_) | Err(Errno::EINVAL) => {} // EINVAL: this kernel does not know it
            Err(error) => return Err(error),
        }
        if let Some(word) = keep.get_mut(number as usize / 32) {
            *word &= !(1 << (number % 32));
        }
    }
    let header = [CAPABILITY_VERSION_3, 0];
    let mut sets = [[0_u32; 3]; 2];
    // SAFETY: header and sets have the layout of version 3: two records of effective, permitted, inheritable.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) })?;
    for (set, keep) in sets.iter_mut().zip(keep) {
        *set = [set[0] & keep, set[1] & keep, 0];
    }
    // SAFETY: as above.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) }).map(drop)
}

/// Says whether others of this user may trace the process, and whether its `/proc` files are its user's.
pub fn set_dumpable(dumpable: bool) -> nix::Result<()> {
    // SAFETY: plain numbers.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, libc::c_ulong::from(dumpable), 0, 0, 0) }).map(drop)
}

/// All signals unblocked and at their defaults, as a new program expects.
pub fn reset_signals() {
    for number in 1..65 {
        // SAFETY: SIG_DFL installs no code; signals that cannot be changed answer with an error that changes nothing.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    // SAFETY: the set is initialised by sigemptyset before it is read.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Lets the kernel reap ended children (`true`), or keeps them for `waitpid`.
pub fn discard_children(discard: bool) {
    // SAFETY: SIG_IGN and SIG_DFL install no code.
    unsafe { libc::signal(libc::SIGCHLD, if discard { libc::SIG_IGN } else { libc::SIG_DFL }) };
}

/// `waitpid`, with the raw status.
pub fn wait(pid: i32) -> nix::Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: `status` lives through the call.
        match Errno::result(unsafe { libc::waitpid(pid, &raw mut status, 0) }) {
            Ok(_) => return Ok(status),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Becomes the program at `path`.
pub fn execute(
    path: &CStr,
    arguments: &[impl AsRef<CStr>],
    environment: &[impl AsRef<CStr>],
) -> nix::Result<Infallible> {
    nix::unistd::execve(path, arguments, environment)
}

/// Bounds a resource of this process (`RLIMIT_*` by number).
///
/// # Errors
/// `EPERM`: a hard limit above the present one needs `CAP_SYS_RESOURCE` over the initial user namespace.
pub fn limit_resource(resource: u32, soft: u64, hard: u64) -> nix::Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` lives through the call; the old limit is not asked for.
    let result = unsafe {
        libc::syscall(libc::SYS_prlimit64, 0, resource, &raw const limit, std::ptr::null::<libc::rlimit64>())
    };
    Errno::result(result).map(drop)
}
