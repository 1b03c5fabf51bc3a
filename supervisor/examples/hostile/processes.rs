//! Other processes: looking into them, stopping them, becoming one of them.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;

use crate::Attempt;
use crate::loot::Targets;
use crate::sys::{address, call, try_call};

const NEW_USER: usize = libc::CLONE_NEWUSER as usize;

/// To be asked by the program that was started itself.
pub(crate) const ABOUT_ITSELF: [&str; 3] =
    ["read-environment-of-init", "read-environment-of-parent", "inherited-descriptor"];

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("read-environment-of-hulld", |t| of(t, "environ")),
    ("read-memory-of-hulld", |t| of(t, "mem")),
    ("read-maps-of-hulld", |t| of(t, "maps")),
    ("list-descriptors-of-hulld", |t| fs::read_dir(proc(t, "fd")).map(drop)),
    ("open-keeper-socket", |t| of(t, "fd/3")),
    ("read-host-through-root", |t| of(t, "root/etc/shadow")),
    ("read-host-through-cwd", |t| fs::metadata(proc(t, "cwd/.")).map(drop)),
    ("read-environment-of-init", |_| File::open("/proc/1/environ").and_then(not_own)),
    ("read-environment-of-parent", |_| parent("environ")),
    ("change-oom-score-of-hulld", |t| fs::write(proc(t, "oom_score_adj"), "1000")),
    ("ptrace-attach", |t| try_call(libc::SYS_ptrace, &[16, t.victim as usize])),
    ("ptrace-seize", |t| try_call(libc::SYS_ptrace, &[0x4206, t.victim as usize])),
    ("read-foreign-memory", |t| memory(libc::SYS_process_vm_readv, t.victim)),
    ("write-foreign-memory", |t| memory(libc::SYS_process_vm_writev, t.victim)),
    ("take-foreign-descriptor", |t| take_descriptor(t.hulld)),
    ("compare-foreign-descriptors", |t| try_call(libc::SYS_kcmp, &[t.victim as usize, t.hulld as usize])),
    ("advise-foreign-memory", |t| process_madvise(t.victim)),
    ("kill-foreign-process", |t| try_call(libc::SYS_kill, &[t.victim as usize, 9])),
    ("kill-thread-of-foreign-process", |t| try_call(libc::SYS_tgkill, &[t.victim as usize, t.victim as usize, 9])),
    ("kill-foreign-process-by-descriptor", |t| kill_by_descriptor(t.victim)),
    ("signal-hulld", |t| try_call(libc::SYS_kill, &[t.hulld as usize, 0])), // 0: may I?
    ("queue-signal-to-hulld", |t| queue_signal(t.hulld)),
    ("renice-foreign-process", |t| try_call(libc::SYS_setpriority, &[0, t.victim as usize, 19])),
    ("limit-foreign-process", |t| limit(t.victim)),
    ("schedule-foreign-process", |t| try_call(libc::SYS_sched_setaffinity, &[t.victim as usize, 8, address(&1_u64)])),
    ("move-foreign-pages", |t| try_call(libc::SYS_migrate_pages, &[t.victim as usize, 0, 0, 0])),
    ("enter-mounts-of-hulld", |t| enter(t.hulld, "mnt")),
    ("enter-network-of-hulld", |t| enter(t.hulld, "net")),
    ("enter-users-of-hulld", |t| enter(t.hulld, "user")),
    ("enter-by-descriptor", |t| enter_by_descriptor(t.hulld)),
    ("unshare-user", |_| try_call(libc::SYS_unshare, &[NEW_USER])),
    ("unshare-mount", |_| try_call(libc::SYS_unshare, &[libc::CLONE_NEWNS as usize])),
    ("unshare-network", |_| try_call(libc::SYS_unshare, &[libc::CLONE_NEWNET as usize])),
    ("clone-user", |_| clone()),
    ("clone3-user", |_| clone3()),
    ("become-host-root", |_| become_root()),
    ("drop-to-foreign-group", |_| try_call(libc::SYS_setgroups, &[1, address(&0_u32)])),
    ("regain-capabilities", |_| regain()),
    ("raise-ambient-capability", |_| try_call(libc::SYS_prctl, &[libc::PR_CAP_AMBIENT as usize, 2, 21, 0, 0])),
    ("secret-in-environment", secrets),
    ("inherited-descriptor", inherited),
    ("dump-core", |_| cores()),
    ("execute-usr-program", |_| execute("/usr/bin/id")),
    ("execute-shell", |_| execute("/bin/sh")),
    ("execute-written-program", |_| execute_written()),
    ("execute-memory", |_| execute_memory()),
];

fn proc(targets: &Targets, name: &str) -> String {
    format!("/proc/{}/{name}", targets.hulld)
}

fn of(targets: &Targets, name: &str) -> io::Result<()> {
    use std::io::Read;
    File::open(proc(targets, name))?.read(&mut [0; 16]).map(drop)
}

/// Alone in its process namespace, a program is number 1 itself.
fn not_own(_: File) -> io::Result<()> {
    if std::process::id() == 1 { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
}

fn parent(name: &str) -> io::Result<()> {
    use std::io::Read;
    File::open(format!("/proc/{}/{name}", nix::unistd::getppid()))?.read(&mut [0; 16]).map(drop)
}

fn memory(number: libc::c_long, victim: i32) -> io::Result<()> {
    let buffer = [0_u8; 8];
    let vector = [address(&buffer), 8];
    let remote = [0x40_0000_usize, 8];
    call(number, [victim as usize, address(&vector), 1, address(&remote), 1, 0]).map(drop)
}

fn open_process(pid: i32) -> io::Result<usize> {
    call(libc::SYS_pidfd_open, [pid as usize, 0, 0, 0, 0, 0])
}

fn take_descriptor(pid: i32) -> io::Result<()> {
    let process = open_process(pid)?;
    try_call(libc::SYS_pidfd_getfd, &[process, 0, 0])
}

fn process_madvise(pid: i32) -> io::Result<()> {
    let process = open_process(pid)?;
    try_call(libc::SYS_process_madvise, &[process, 0, 0, 20, 0])
}

fn kill_by_descriptor(pid: i32) -> io::Result<()> {
    let process = open_process(pid)?;
    try_call(libc::SYS_pidfd_send_signal, &[process, 9, 0, 0])
}

fn queue_signal(pid: i32) -> io::Result<()> {
    let mut information = [0_i32; 32];
    information[2] = -1; // SI_QUEUE
    call(libc::SYS_rt_sigqueueinfo, [pid as usize, 0, address(&information), 0, 0, 0]).map(drop)
}

fn limit(pid: i32) -> io::Result<()> {
    let old = [0_u64; 2];
    call(libc::SYS_prlimit64, [pid as usize, 7, 0, address(&old), 0, 0]).map(drop)
}

fn enter(pid: i32, namespace: &str) -> io::Result<()> {
    let file = File::open(format!("/proc/{pid}/ns/{namespace}"))?;
    try_call(libc::SYS_setns, &[file.as_raw_fd() as usize, 0])
}

fn enter_by_descriptor(pid: i32) -> io::Result<()> {
    let process = open_process(pid)?;
    try_call(libc::SYS_setns, &[process, libc::CLONE_NEWNS as usize | libc::CLONE_NEWNET as usize])
}

fn clone() -> io::Result<()> {
    end_child(call(libc::SYS_clone, [NEW_USER | libc::SIGCHLD as usize, 0, 0, 0, 0, 0])?)
}

/// Of a clone that worked: the child goes no further.
fn end_child(child: usize) -> io::Result<()> {
    if child == 0 {
        std::process::exit(0);
    }
    Ok(())
}

fn clone3() -> io::Result<()> {
    let mut arguments = [0_u64; 11];
    (arguments[0], arguments[4]) = (NEW_USER as u64, libc::SIGCHLD as u64);
    end_child(call(libc::SYS_clone3, [address(&arguments), 88, 0, 0, 0, 0])?)
}

/// Already being root is no crime: then the question is whether all of root's powers come back.
fn become_root() -> io::Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    try_call(libc::SYS_setresuid, &[0, 0, 0])
}

/// `SYS_MODULE` and `SYS_RAWIO`: over the host nobody has them, in no manifest.
fn regain() -> io::Result<()> {
    let header = [0x2008_0522_u32, 0];
    let wanted = (1_u32 << 16) | (1 << 17);
    let data = [wanted, wanted, 0, 0, 0, 0];
    call(libc::SYS_capset, [address(&header), address(&data), 0, 0, 0, 0]).map(drop)
}

fn secrets(targets: &Targets) -> io::Result<()> {
    let known = |(key, _): &(std::ffi::OsString, _)| targets.environment.iter().any(|name| key == name.as_str());
    let foreign = std::env::vars_os().find(|pair| !known(pair));
    foreign.map(drop).ok_or(io::ErrorKind::NotFound.into())
}

fn inherited(targets: &Targets) -> io::Result<()> {
    let open =
        |number: &i32| try_call(libc::SYS_fcntl, &[number.cast_unsigned() as usize, libc::F_GETFD as usize]).is_ok();
    (3 + targets.descriptors..4096).find(open).map(drop).ok_or(io::ErrorKind::NotFound.into())
}

fn cores() -> io::Result<()> {
    let (soft, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_CORE)?;
    if (soft, hard) == (0, 0) { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
}

fn execute(path: &str) -> io::Result<()> {
    let ended = std::process::Command::new(path).arg("-c").stdout(std::process::Stdio::null()).status();
    ended.map(drop)
}

fn execute_written() -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folders = ["/pool", "/state", "/tmp"];
    let place = folders.iter().find(|folder| fs::metadata(folder).is_ok());
    let path = format!("{}/hostile-program", place.ok_or(io::ErrorKind::NotFound)?);
    fs::copy("/usr/bin/id", &path)?;
    let ran = fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).and_then(|()| execute(&path));
    fs::remove_file(&path)?;
    ran
}

/// A program that is in no file system: no landlock rule knows it.
fn execute_memory() -> io::Result<()> {
    let memory = nix::sys::memfd::memfd_create(c"hostile", nix::sys::memfd::MFdFlags::empty())?;
    let mut file = File::from(memory);
    io::copy(&mut File::open("/usr/bin/id")?, &mut file)?;
    let by_path = std::process::Command::new(format!("/proc/self/fd/{}", file.as_raw_fd())).status();
    if by_path.is_ok() {
        return Ok(());
    }
    let arguments = [file.as_raw_fd() as usize, c"".as_ptr().addr(), 0, 0, libc::AT_EMPTY_PATH as usize, 0];
    call(libc::SYS_execveat, arguments).map(drop)
}
