//! The system calls a program may make: a base list that tokio and the standard library live on, and groups on top.

use libseccomp::{ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};

use super::stage::{Context, StageError};

/// Files, memory, threads, time, sockets, signals, processes; nothing that changes mounts, namespaces or the machine.
const BASE: &str = "
    accept accept4 access alarm arch_prctl bind brk capget capset chdir chmod chown clock_getres clock_gettime
    clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl
    epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64
    fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork
    fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_wait futex_wake futex_waitv get_robust_list getcwd
    getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid
    getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday
    getuid getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioprio_get kcmp kill lchown
    lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise membarrier memfd_create
    mincore mkdir mkdirat mknod mknodat mlock mlock2 mmap mprotect mremap msync munlock munmap nanosleep newfstatat
    open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 poll ppoll prctl pread64 preadv preadv2 prlimit64
    pselect6 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg removexattr
    rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
    rt_sigreturn rt_sigsuspend rt_sigtimedwait sched_getaffinity sched_getattr sched_getparam sched_getscheduler
    sched_get_priority_max sched_get_priority_min sched_setaffinity sched_yield select sendfile sendmmsg sendmsg sendto
    set_robust_list set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid
    setresuid setreuid setrlimit setsid setsockopt setuid setxattr shutdown sigaltstack signalfd signalfd4 socketpair
    splice stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create
    timer_delete timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask
    uname unlink unlinkat utime utimensat utimes vfork vmsplice wait4 waitid write writev landlock_create_ruleset
    landlock_add_rule landlock_restrict_self seccomp getcpu";

const MOUNT: &str = "
    mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr statmount listmount
    name_to_handle_at open_tree_attr";

const NAMESPACE: &str = "clone clone3 unshare setns sethostname setdomainname pidfd_getfd keyctl";

const PRIVILEGED: &str = "
    acct bpf chroot fanotify_init fanotify_mark io_uring_enter io_uring_register io_uring_setup ioprio_set iopl
    name_to_handle_at open_by_handle_at perf_event_open personality process_madvise process_vm_readv ptrace quotactl
    quotactl_fd sched_setattr sched_setparam sched_setscheduler setdomainname sethostname swapon swapoff syslog
    vhangup";

/// The namespaces among the flags of `clone`.
const NAMESPACE_FLAGS: u64 = 0x7e02_0080;
const SOCKET_FAMILIES: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Whether nothing is to be filtered (`@all`).
pub(super) fn is_open(granted: &[String]) -> bool {
    granted.iter().any(|name| name == "@all")
}

/// Puts the filter in force. What is not allowed fails with `EPERM`; `clone3`, whose flags cannot be looked at, with
/// `ENOSYS`, after which libraries use `clone`.
pub(super) fn load(granted: &[String]) -> Result<(), StageError> {
    if is_open(granted) {
        return Ok(());
    }
    let what = "cannot filter system calls";
    let mut filter = ScmpFilterContext::new(ScmpAction::Errno(libc::EPERM)).during(what)?;
    filter.set_ctl_optimize(2).during(what)?; // a tree instead of a list: a few comparisons for each call
    allow(&mut filter, BASE)?;
    for name in granted {
        match name.as_str() {
            "@mount" => allow(&mut filter, MOUNT)?,
            "@namespace" => allow(&mut filter, NAMESPACE)?,
            "@privileged" => allow(&mut filter, PRIVILEGED)?,
            "@packet-sockets" => allow_family(&mut filter, libc::AF_PACKET)?,
            name => allow(&mut filter, name)?,
        }
    }
    if !granted.iter().any(|name| name == "@namespace" || name == "clone") {
        let clone = ScmpSyscall::from_name("clone").during(what)?;
        let plain = ScmpArgCompare::new(0, ScmpCompareOp::MaskedEqual(NAMESPACE_FLAGS), 0);
        filter.add_rule_conditional(ScmpAction::Allow, clone, &[plain]).during(what)?;
        let clone3 = ScmpSyscall::from_name("clone3").during(what)?;
        filter.add_rule(ScmpAction::Errno(libc::ENOSYS), clone3).during(what)?;
    }
    for family in SOCKET_FAMILIES {
        allow_family(&mut filter, family)?;
    }
    let ioctl = ScmpSyscall::from_name("ioctl").during(what)?;
    let no_typing = ScmpArgCompare::new(1, ScmpCompareOp::NotEqual, libc::TIOCSTI);
    filter.add_rule_conditional(ScmpAction::Allow, ioctl, &[no_typing]).during(what)?;
    filter.load().during(what)
}

fn allow(filter: &mut ScmpFilterContext, names: &str) -> Result<(), StageError> {
    for name in names.split_ascii_whitespace() {
        // A name that this architecture or this libseccomp does not have cannot be called by it either.
        if let Ok(number) = ScmpSyscall::from_name(name) {
            filter.add_rule(ScmpAction::Allow, number).during(format_args!("cannot allow `{name}`"))?;
        }
    }
    Ok(())
}

fn allow_family(filter: &mut ScmpFilterContext, family: i32) -> Result<(), StageError> {
    let socket = ScmpSyscall::from_name("socket").during("socket")?;
    let family = ScmpArgCompare::new(0, ScmpCompareOp::Equal, u64::from(family.unsigned_abs()));
    filter.add_rule_conditional(ScmpAction::Allow, socket, &[family]).during("cannot allow sockets").map(drop)
}
