//! How a thread takes turns on a processor (`include/uapi/linux/sched/types.h`).

use nix::errno::Errno;
use nix::libc;

/// The shortest turn the kernel grants (`kernel/sched/syscalls.c`).
const SHORTEST: u64 = 100_000;
/// `SCHED_FLAG_RESET_ON_FORK`.
const RESET_ON_FORK: u64 = 1;

/// `struct sched_attr`, as of its first version.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Has the calling thread ask for short turns, which it gets sooner after it wakes while others keep the processors busy; its
/// share of them stays as it is. Threads and processes that it starts are as usual.
///
/// # Errors
/// Never for want of rights. Kernels before Linux 6.12 know one length only, and change nothing.
pub fn take_short_turns() -> nix::Result<()> {
    let size = const { size_of::<Attributes>() as u32 };
    let mut attributes = Attributes::default();
    // SAFETY: the kernel writes at most `size` bytes, which are there.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    Errno::result(read)?;
    if attributes.policy != libc::SCHED_OTHER.cast_unsigned() || attributes.nice < 0 {
        return Ok(()); // the administrator's choice, which is to be inherited
    }
    (attributes.size, attributes.runtime) = (size, SHORTEST);
    attributes.flags |= RESET_ON_FORK;
    // SAFETY: the attributes are of the size that they state, and live through the call.
    let written = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    Errno::result(written).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_can_have_them_and_gives_them_to_nobody() {
        let turn = || {
            let mut attributes = Attributes::default();
            let size = size_of::<Attributes>() as u32;
            // SAFETY: as above.
            let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
            (Errno::result(read).map(drop), attributes.runtime, attributes.nice)
        };
        std::thread::spawn(move || {
            let before = turn();
            take_short_turns().unwrap();
            let (ours, theirs) = (turn(), std::thread::spawn(turn).join().unwrap());
            assert_eq!((ours.2, theirs.2), (before.2, before.2), "the nice value is as before");
            assert_ne!(theirs.1, SHORTEST);
        })
        .join()
        .unwrap();
    }
}
