//! Processes by descriptor: open, find again after a restart, signal, learn how they ended.

use std::fs;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::Signal;

/// A pidfd for a process.
///
/// # Errors
/// `ESRCH`: there is none with this number, or it has been waited for.
pub fn open(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two integers and returns a new descriptor.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let fd = RawFd::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just installed this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// When a process started, in clock ticks since boot: with the boot's id and the pid it names one process for ever.
pub fn start_time(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything; field 22 is the start time.
    text.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The running kernel's boot: `5c0f…-…`.
pub fn boot_id() -> std::io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The process that was started then, if it still exists: neither another that has its number now nor one of another boot.
pub fn reopen(pid: i32, started: u64, boot: &str) -> Option<OwnedFd> {
    if boot_id().ok()? != boot {
        return None;
    }
    let fd = open(pid).ok()?;
    // Asked after opening: while the descriptor is open and shows this start time, it is this process.
    (start_time(pid) == Some(started) && signal(&fd, None) != Err(Errno::ESRCH)).then_some(fd)
}

/// The number of the process behind a pidfd, in this process's namespace; `None` when it has been waited for.
pub fn pid_of(process: impl std::os::fd::AsFd) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_fd().as_raw_fd())).ok()?;
    let pid: i32 = text.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()?;
    (pid > 0).then_some(pid)
}

/// Sends a signal; `None` only asks whether one could be sent.
pub fn signal(process: impl std::os::fd::AsFd, signal: Option<Signal>) -> nix::Result<()> {
    signal_number(process, signal.map_or(0, |signal| signal as i32))
}

/// Sends a signal by number: the real-time ones have no name.
pub fn signal_number(process: impl std::os::fd::AsFd, number: i32) -> nix::Result<()> {
    // SAFETY: a null siginfo means "as kill() would"; the descriptor is borrowed for the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_fd().as_raw_fd(),
            number,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    Errno::result(result).map(drop)
}

/// The number of the first real-time signal that the C library leaves to programs.
pub fn first_real_time_signal() -> i32 {
    libc::SIGRTMIN()
}

/// Waits for one's own child, without blocking: its wait status once it has ended.
///
/// # Errors
/// `ECHILD`: not a child of this process, or waited for already.
pub fn wait_child(process: BorrowedFd) -> nix::Result<Option<i32>> {
    // SAFETY: an all-zero siginfo_t is a valid value of this plain structure.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let id = libc::id_t::try_from(process.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    // SAFETY: `info` lives through the call.
    Errno::result(unsafe { libc::waitid(libc::P_PIDFD, id, &raw mut info, libc::WEXITED | libc::WNOHANG) })?;
    // SAFETY: waitid has filled the fields for a child, or left si_pid zero.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok((pid != 0).then(|| wait_status(info.si_code, status)))
}

/// The next ended child of this process, still unreaped: its number.
pub fn ended_child() -> nix::Result<Option<i32>> {
    // SAFETY: an all-zero siginfo_t is a valid value of this plain structure.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `info` lives through the call.
    match Errno::result(unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, flags) }) {
        Err(Errno::ECHILD) => Ok(None),
        Err(error) => Err(error),
        Ok(_) => {
            // SAFETY: waitid has filled the field for a child, or left it zero.
            let pid = unsafe { info.si_pid() };
            Ok((pid != 0).then_some(pid))
        }
    }
}

/// Reaps an ended child: its wait status.
pub fn reap(pid: i32) -> nix::Result<i32> {
    let mut status = 0;
    // SAFETY: `status` lives through the call.
    Errno::result(unsafe { libc::waitpid(pid, &raw mut status, 0) })?;
    Ok(status)
}

/// Makes orphaned descendants children of this process.
pub fn become_subreaper() -> nix::Result<()> {
    // SAFETY: prctl with integers only.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// linux/pidfd.h `struct pidfd_info`, version 0
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3; // linux/pidfd.h
const PIDFD_GET_INFO: libc::c_ulong = 0xc040_ff0b; // linux/pidfd.h _IOWR(0xff, 11, struct pidfd_info)

/// How a process that has been reaped by somebody else ended: its wait status. Linux 6.15 and later.
pub fn exit_status(process: impl std::os::fd::AsFd) -> Option<i32> {
    const { assert!(size_of::<Info>() == 64) };
    let mut info = Info { mask: PIDFD_INFO_EXIT, ..Info::default() };
    // SAFETY: `info` has the size that the request's number states and lives through the call.
    let result = unsafe { libc::ioctl(process.as_fd().as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    (result == 0 && info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)
}

fn wait_status(code: i32, status: i32) -> i32 {
    match code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_process_is_found_again_and_its_end_is_known() {
        let mut child = std::process::Command::new("/bin/cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let (started, boot) = (start_time(pid).unwrap(), boot_id().unwrap());

        let process = reopen(pid, started, &boot).unwrap();
        assert_eq!(pid_of(&process), Some(pid));
        assert!(reopen(pid, started + 1, &boot).is_none());
        assert!(reopen(pid, started, "another boot").is_none());

        assert_eq!(wait_child(process.as_fd()).unwrap(), None);
        signal(&process, Some(Signal::SIGKILL)).unwrap();
        child.wait().unwrap();
        assert_eq!(wait_child(process.as_fd()), Err(Errno::ECHILD));
        assert!(matches!(exit_status(&process), Some(9) | None)); // `None` before Linux 6.15
        assert!(reopen(pid, started, &boot).is_none());
    }
}
