//! System calls by number, which no library offers.
#![allow(unsafe_code)]

use std::io::{self, Read, Write};

/// Makes the call. Pointers among the arguments must be to live memory of the size the call expects.
pub(crate) fn call(number: libc::c_long, arguments: [usize; 6]) -> io::Result<usize> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: by this function's contract; a call that is refused touches no memory, and one that is not ends the test.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result.cast_unsigned() as usize) }
}

/// The same with arguments that are only numbers.
pub(crate) fn try_call(number: libc::c_long, arguments: &[usize]) -> io::Result<()> {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    call(number, all).map(drop)
}

/// The address of a value, for [`call`].
pub(crate) fn address<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).addr()
}

/// What `work` says in a process of its own, or here if there can be no other. A child that becomes another program has
/// succeeded.
pub(crate) fn apart(work: impl FnOnce() -> String) -> io::Result<String> {
    let (mut said, mut says) = io::pipe()?;
    // SAFETY: this program has one thread.
    let child = unsafe { libc::fork() };
    match child {
        -1 => return Ok(work()),
        0 => {
            drop(said);
            let said = work();
            // Whoever does not hear it notices.
            let code = says.write_all(said.as_bytes()).is_err();
            // SAFETY: no precondition.
            unsafe { libc::_exit(i32::from(code)) }
        }
        _ => drop(says),
    }
    let mut text = String::new();
    said.read_to_string(&mut text)?;
    let mut status = 0;
    // SAFETY: `status` lives through the call.
    if unsafe { libc::waitpid(child, &raw mut status, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    if !text.is_empty() {
        return Ok(text);
    }
    if libc::WIFEXITED(status) {
        Ok("allowed".into())
    } else {
        Ok(format!("killed by signal {}", libc::WTERMSIG(status)))
    }
}

/// A process that does nothing until it is killed; `fork`, so that no memory is shared.
pub(crate) fn idle_child() -> io::Result<i32> {
    // SAFETY: this program has one thread; the child calls nothing but pause.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => loop {
            // SAFETY: no precondition.
            unsafe { libc::pause() };
        },
        child => Ok(child),
    }
}

/// A 32-bit system call (`getpid`): another numbering, which a filter must not take for its own.
#[cfg(target_arch = "x86_64")]
pub(crate) fn foreign_call() -> io::Result<()> {
    let result: u64;
    // SAFETY: `getpid` touches no memory.
    unsafe { std::arch::asm!("int 0x80", inlateout("rax") 20_u64 => result, options(nostack)) };
    if result as i32 > 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-(result as i32))) }
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn foreign_call() -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}
