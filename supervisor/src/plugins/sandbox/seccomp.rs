//! The system calls a program may make: a base list, groups that follow from its other grants, and what it lists itself.

use std::os::fd::OwnedFd;

use libseccomp::{ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};

use super::plan::{Heard, Plan};
use super::stage::{Context, StageError};

/// Reading and writing, memory, threads, time, signals: what tokio and the standard library live on. Becoming a program is in
/// it for the program itself; without a path (`execveat`) there is none.
const BASE: &str = "
    access alarm arch_prctl brk capget chdir clock_getres clock_gettime clock_nanosleep close close_range copy_file_range
    dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve exit
    exit_group faccessat faccessat2 fadvise64 fallocate fchdir fcntl fdatasync fgetxattr flistxattr flock fstat fstatfs
    fsync ftruncate futex futex_wait futex_wake futex_waitv get_robust_list getcpu getcwd getdents getdents64 getegid
    geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getrandom getresgid getresuid getrlimit
    getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr getxattrat landlock_add_rule
    landlock_create_ruleset landlock_restrict_self lgetxattr listxattr listxattrat llistxattr lseek lstat madvise membarrier
    memfd_create mincore mlock mlock2 mmap mprotect mremap msync munlock munmap nanosleep newfstatat open openat openat2
    pause pipe pipe2 poll ppoll prctl pread64 preadv preadv2 prlimit64 pselect6 pwrite64 pwritev pwritev2 read readahead
    readlink readlinkat readv recvfrom recvmmsg recvmsg restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask
    rt_sigreturn rt_sigsuspend rt_sigtimedwait sched_get_priority_max sched_get_priority_min sched_getaffinity
    sched_getattr sched_getparam sched_getscheduler sched_setaffinity sched_yield seccomp select sendfile sendmmsg
    sendmsg sendto set_robust_list set_tid_address setitimer setrlimit setsockopt shutdown sigaltstack signalfd signalfd4
    socketpair splice stat statfs statx sysinfo tee tgkill time timer_create timer_delete timer_gettime timer_settime
    timerfd_create timerfd_gettime timerfd_settime times umask uname vmsplice write writev";

const FILES: &str = "
    chmod chown creat fchmod fchmodat fchmodat2 fchown fchownat fremovexattr fsetxattr inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch lchown link linkat lremovexattr lsetxattr mkdir mkdirat mknod mknodat removexattr
    removexattrat rename renameat renameat2 rmdir setxattr setxattrat symlink symlinkat sync sync_file_range syncfs truncate unlink unlinkat utime
    utimensat utimes";

const PROCESSES: &str = "
    fork getpriority ioprio_get kill pidfd_open pidfd_send_signal rt_sigqueueinfo setpgid setpriority setsid tkill vfork
    wait4 waitid";

const IDENTITY: &str = "
    capset setfsgid setfsuid setgid setgroups setregid setresgid setresuid setreuid setuid";

const NETWORK: &str = "accept accept4 bind connect listen";

const MOUNT: &str = "
    mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr statmount listmount
    open_tree_attr";

const NAMESPACE: &str = "clone clone3 unshare setns sethostname setdomainname";

const PRIVILEGED: &str = "
    acct bpf chroot fanotify_init fanotify_mark io_uring_enter io_uring_register io_uring_setup ioprio_set iopl
    name_to_handle_at open_by_handle_at perf_event_open personality process_madvise process_vm_readv ptrace quotactl
    quotactl_fd sched_setattr sched_setparam sched_setscheduler setdomainname sethostname swapon swapoff syslog
    vhangup";

/// By these the listening descriptor gets to hulld and the program is started: nobody is there yet to ask about them.
const UNASKED: [&str; 12] = [
    "brk", "close", "execve", "fcntl", "futex", "madvise", "mmap", "mprotect", "munmap", "prctl", "seccomp", "sendmsg",
];
/// What an older libseccomp does not know by name; these numbers are the same on every architecture (asm-generic/unistd.h).
const NEWER: [(&str, i32); 10] = [
    ("fchmodat2", 452),
    ("futex_wake", 454),
    ("futex_wait", 455),
    ("statmount", 457),
    ("listmount", 458),
    ("setxattrat", 463),
    ("getxattrat", 464),
    ("listxattrat", 465),
    ("removexattrat", 466),
    ("open_tree_attr", 467),
];

/// The namespaces among the flags of `clone`.
const NAMESPACE_FLAGS: u64 = 0x7e02_0080;
/// `CLONE_THREAD`
const THREAD: u64 = 0x1_0000;
/// Requests that put words into the mouth of whoever sits at a terminal: `TIOCSTI`, `TIOCLINUX`. They differ in their last
/// digit only.
const TYPING: [u64; 2] = [0x5412, 0x541c];
const INTERNET: [i32; 2] = [libc::AF_INET, libc::AF_INET6];

/// Whether nothing is to be filtered (`@all`).
pub(super) fn is_open(granted: &[String]) -> bool {
    granted.iter().any(|name| name == "@all")
}

/// Puts the filter in force and returns the descriptor on which hulld is asked about what is not allowed (and answers
/// `EPERM`). `clone3`, whose flags cannot be looked at, fails with `ENOSYS`, after which libraries use `clone`.
///
/// When hulld has gone, what is not allowed fails with `ENOSYS`.
pub(super) fn load(plan: &Plan) -> Result<Option<OwnedFd>, StageError> {
    let granted = &plan.system_calls;
    if is_open(granted) {
        return Ok(None);
    }
    let what = "cannot filter system calls";
    let mut filter = Filter::new(&plan.heard)?;
    filter.allow(BASE)?;
    for name in granted {
        match name.as_str() {
            "@files" => filter.allow(FILES)?,
            "@processes" => filter.allow(PROCESSES)?,
            "@identity" => filter.allow(IDENTITY)?,
            "@network" => {
                filter.allow(NETWORK)?;
                INTERNET.iter().try_for_each(|family| filter.allow_family(*family))?;
                filter.allow_netlink(libc::NETLINK_ROUTE)?; // resolvers ask for addresses
            }
            "@netlink-route" => {
                filter.allow("bind")?;
                filter.allow_netlink(libc::NETLINK_ROUTE)?;
            }
            "@netlink-netfilter" => filter.allow_netlink(libc::NETLINK_NETFILTER)?,
            "@mount" => filter.allow(MOUNT)?,
            "@namespace" => filter.allow(NAMESPACE)?,
            "@privileged" => filter.allow(PRIVILEGED)?,
            "@packet-sockets" => filter.allow_family(libc::AF_PACKET)?,
            name => filter.allow(name)?,
        }
    }
    let has = |names: &[&str]| granted.iter().any(|name| names.contains(&name.as_str()));
    if !has(&["@namespace", "clone"]) {
        // Threads for everybody, processes for those that start programs, namespaces for nobody here.
        let (looked_at, wanted) =
            if has(&["@processes"]) { (NAMESPACE_FLAGS, 0) } else { (NAMESPACE_FLAGS | THREAD, THREAD) };
        filter.allow_if("clone", ScmpArgCompare::new(0, ScmpCompareOp::MaskedEqual(looked_at), wanted))?;
        let clone3 = ScmpSyscall::from_name("clone3").during(what)?;
        filter.context.add_rule(ScmpAction::Errno(libc::ENOSYS), clone3).during(what)?;
    }
    filter.allow_family(libc::AF_UNIX)?;
    filter.allow_requests()?;
    filter.context.load().during(what)?;
    let listener = filter.context.get_notify_fd().during("cannot listen to its system call filter")?;
    hull_sys::message::inherited(listener).map(Some).during("cannot listen to its system call filter")
}

/// What a filter for these grants allows: the group, or a name of its own, and each call. Sockets are apart, by family.
pub(super) fn allowed(granted: &[String]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for name in std::iter::once("@base").chain(granted.iter().map(String::as_str)) {
        let calls = match name {
            "@base" => BASE,
            "@files" => FILES,
            "@processes" => PROCESSES,
            "@identity" => IDENTITY,
            "@network" => NETWORK,
            "@mount" => MOUNT,
            "@namespace" => NAMESPACE,
            "@privileged" => PRIVILEGED,
            name if name.starts_with('@') => "",
            name => name,
        };
        all.extend(calls.split_ascii_whitespace().map(|call| (name.to_owned(), call.to_owned())));
    }
    all
}

fn call(name: &str) -> Option<ScmpSyscall> {
    let newer = || NEWER.iter().find(|(known, _)| *known == name).map(|(_, number)| ScmpSyscall::from(*number));
    ScmpSyscall::from_name(name).ok().or_else(newer)
}

/// A filter under construction.
struct Filter {
    context: ScmpFilterContext,
    allowed: ScmpAction,
}

impl Filter {
    fn new(heard: &Heard) -> Result<Self, StageError> {
        let what = "cannot filter system calls";
        let (allowed, otherwise) = match heard {
            Heard::Refused => (ScmpAction::Allow, ScmpAction::Notify),
            Heard::Used(_) => (ScmpAction::Notify, ScmpAction::Errno(libc::EPERM)),
        };
        let mut context = ScmpFilterContext::new(otherwise).during(what)?;
        context.set_ctl_optimize(2).during(what)?; // a tree instead of a list: a few comparisons for each call
        Ok(Self { context, allowed })
    }

    fn allow(&mut self, names: &str) -> Result<(), StageError> {
        for name in names.split_ascii_whitespace() {
            let action = if UNASKED.contains(&name) { ScmpAction::Allow } else { self.allowed };
            // A name that this architecture does not have cannot be called by it either.
            if let Some(call) = call(name) {
                self.context.add_rule(action, call).during(format_args!("cannot allow `{name}`"))?;
            }
        }
        Ok(())
    }

    fn allow_if(&mut self, name: &str, condition: ScmpArgCompare) -> Result<(), StageError> {
        let call = ScmpSyscall::from_name(name).during(name)?;
        let added = self.context.add_rule_conditional(self.allowed, call, &[condition]);
        added.during(format_args!("cannot allow `{name}`")).map(drop)
    }

    /// `ioctl` but for [`TYPING`]. The kernel looks at 32 bits of the request, so a comparison of all 64 would be no bar:
    /// allowed is what differs from them in one of those bits.
    fn allow_requests(&mut self) -> Result<(), StageError> {
        let equal = |mask: u64, value| ScmpArgCompare::new(1, ScmpCompareOp::MaskedEqual(mask), value);
        for bit in (4..32).map(|shift| 1_u64 << shift) {
            self.allow_if("ioctl", equal(bit, !TYPING[0] & bit))?;
        }
        let neighbours = (0..16).map(|low| (TYPING[0] & !0xf) | low);
        for request in neighbours.filter(|request| !TYPING.contains(request)) {
            self.allow_if("ioctl", equal(0xffff_ffff, request))?;
        }
        Ok(())
    }

    /// A `socket` of one netlink protocol: behind each is another part of the kernel.
    fn allow_netlink(&mut self, protocol: i32) -> Result<(), StageError> {
        let equal =
            |argument, value: i32| ScmpArgCompare::new(argument, ScmpCompareOp::Equal, u64::from(value.unsigned_abs()));
        let socket = ScmpSyscall::from_name("socket").during("socket")?;
        let conditions = [equal(0, libc::AF_NETLINK), equal(2, protocol)];
        let added = self.context.add_rule_conditional(self.allowed, socket, &conditions);
        added.during("cannot allow netlink sockets").map(drop)
    }

    fn allow_family(&mut self, family: i32) -> Result<(), StageError> {
        self.allow_if("socket", ScmpArgCompare::new(0, ScmpCompareOp::Equal, u64::from(family.unsigned_abs())))
    }
}
