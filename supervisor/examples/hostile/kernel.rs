//! The kernel itself: its code, its clock, its keys, its less travelled entrances.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use crate::Attempt;
use crate::sys::{address, call, try_call};

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("add-key", |_| add_key()),
    ("request-key", |_| try_call(libc::SYS_request_key, &[c"user".as_ptr().addr(), c"hull".as_ptr().addr(), 0, 0])),
    ("join-session-keyring", |_| try_call(libc::SYS_keyctl, &[1, 0])),
    ("load-bpf", |_| bpf()),
    ("open-performance-event", |_| performance()),
    ("userfaultfd", |_| try_call(libc::SYS_userfaultfd, &[libc::O_CLOEXEC as usize])),
    ("io-uring", |_| io_uring()),
    ("type-into-terminal", |_| type_into(0x5412)), // TIOCSTI
    // The same to the kernel, another number to a careless filter.
    ("type-into-terminal-in-disguise", |_| type_into(0x1_0000_5412)),
    ("paste-into-console", |_| type_into(0x541c)), // TIOCLINUX
    ("load-module", |_| try_call(libc::SYS_init_module, &[c"".as_ptr().addr(), 0, c"".as_ptr().addr()])),
    ("load-module-file", |_| load_module_file()),
    ("remove-module", |_| try_call(libc::SYS_delete_module, &[c"hostile".as_ptr().addr(), 0])),
    ("kexec", |_| try_call(libc::SYS_kexec_load, &[0, 0, 0, 0])),
    ("kexec-file", |_| try_call(libc::SYS_kexec_file_load, &[0, 0, 0, 0, 0])),
    // LINUX_REBOOT_CMD_CAD_OFF: what whoever may reboot may do, and nobody would notice.
    ("reboot", |_| try_call(libc::SYS_reboot, &[0xfee1_dead, 672_274_793, 0])),
    ("set-clock", |_| set_clock()),
    ("set-time-of-day", |_| set_time_of_day()),
    ("adjust-clock", |_| adjust_clock()),
    ("set-host-name", |_| try_call(libc::SYS_sethostname, &[c"hostile".as_ptr().addr(), 7])),
    ("set-domain-name", |_| try_call(libc::SYS_setdomainname, &[c"hostile".as_ptr().addr(), 7])),
    ("read-kernel-ring", |_| try_call(libc::SYS_syslog, &[10])),
    ("account", |_| try_call(libc::SYS_acct, &[0])),
    ("io-privilege", |_| io_privilege()),
    ("io-ports", |_| io_ports()),
    ("hang-up-terminal", |_| try_call(libc::SYS_vhangup, &[])),
    ("personality", |_| try_call(libc::SYS_personality, &[0x040_0000])), // READ_IMPLIES_EXEC
    ("modify-ldt", |_| modify_ldt()),
    ("lock-all-memory", |_| try_call(libc::SYS_mlockall, &[2])),
    ("real-time-scheduling", |_| try_call(libc::SYS_sched_setscheduler, &[0, 1, address(&1_i32)])),
    ("io-real-time", |_| try_call(libc::SYS_ioprio_set, &[1, 0, 1 << 13])),
    ("system-v-shared-memory", |_| try_call(libc::SYS_shmget, &[0x4855_4c4c, 4096, 0o1600])),
    ("message-queue", |_| try_call(libc::SYS_mq_open, &[c"hostile".as_ptr().addr(), 0o102, 0o600, 0])),
];

fn add_key() -> io::Result<()> {
    let (kind, name) = (c"user".as_ptr().addr(), c"hostile".as_ptr().addr());
    let session = (-3_isize).cast_unsigned();
    call(libc::SYS_add_key, [kind, name, name, 7, session, 0]).map(drop)
}

fn bpf() -> io::Result<()> {
    let attributes = [2_u32, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]; // an array map of one number
    call(libc::SYS_bpf, [0, address(&attributes), 64, 0, 0, 0]).map(drop)
}

fn performance() -> io::Result<()> {
    let mut attributes = [0_u32; 32];
    (attributes[0], attributes[1]) = (1, 128); // PERF_TYPE_SOFTWARE, the size
    let all = usize::MAX;
    call(libc::SYS_perf_event_open, [address(&attributes), all, 0, all, 0, 0]).map(drop)
}

fn io_uring() -> io::Result<()> {
    let parameters = [0_u32; 30];
    call(libc::SYS_io_uring_setup, [1, address(&parameters), 0, 0, 0, 0]).map(drop)
}

/// A character into the input of whatever terminal there is, without one into what stands for it.
fn type_into(request: usize) -> io::Result<()> {
    let terminal = File::options().read(true).write(true).open("/dev/tty");
    let terminal = terminal.or_else(|_| File::open("/dev/null"))?;
    let arguments = [terminal.as_raw_fd() as usize, request, address(&b'x'), 0, 0, 0];
    call(libc::SYS_ioctl, arguments).map(drop)
}

fn load_module_file() -> io::Result<()> {
    let file = File::open("/usr/bin/id")?;
    try_call(libc::SYS_finit_module, &[file.as_raw_fd() as usize, c"".as_ptr().addr(), 0])
}

/// To the present time: whoever may set it, has set it.
fn set_clock() -> io::Result<()> {
    let now = [0_i64; 2];
    call(libc::SYS_clock_gettime, [0, address(&now), 0, 0, 0, 0])?;
    call(libc::SYS_clock_settime, [0, address(&now), 0, 0, 0, 0]).map(drop)
}

fn set_time_of_day() -> io::Result<()> {
    let now = [0_i64; 2];
    call(libc::SYS_gettimeofday, [address(&now), 0, 0, 0, 0, 0])?;
    call(libc::SYS_settimeofday, [address(&now), 0, 0, 0, 0, 0]).map(drop)
}

fn adjust_clock() -> io::Result<()> {
    let mut change = [0_u64; 32];
    change[0] = 0x4000; // ADJ_TICK
    change[12] = 10_000;
    call(libc::SYS_adjtimex, [address(&change), 0, 0, 0, 0, 0]).map(drop)
}

#[cfg(target_arch = "x86_64")]
fn io_privilege() -> io::Result<()> {
    try_call(libc::SYS_iopl, &[3])
}

#[cfg(target_arch = "x86_64")]
fn io_ports() -> io::Result<()> {
    try_call(libc::SYS_ioperm, &[0x80, 1, 1])
}

#[cfg(target_arch = "x86_64")]
fn modify_ldt() -> io::Result<()> {
    let description = [0_u32; 4];
    call(libc::SYS_modify_ldt, [1, address(&description), 16, 0, 0, 0]).map(drop)
}

#[cfg(not(target_arch = "x86_64"))]
fn io_privilege() -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

#[cfg(not(target_arch = "x86_64"))]
fn io_ports() -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

#[cfg(not(target_arch = "x86_64"))]
fn modify_ldt() -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}
