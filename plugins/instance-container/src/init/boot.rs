//! The container's first process: from a copy of `hull-init` in new namespaces to the container's own init.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hull_sys::{fork, terminal};
use instance_container::order::{self, Failure, FailureKind, MountPoint, Report, Start};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::unistd::{setgroups, sethostname, setresgid, setresuid, setsid};

use crate::failure::{Doing, Outcome};
use crate::{confine, root};

/// Becomes init. Returns only with the reason why that is impossible.
pub(crate) fn run(
    reply: &OwnedFd,
    start: &Start,
    root: &OwnedFd,
    mounts: Vec<(MountPoint, OwnedFd)>,
) -> Result<Infallible, Failure> {
    let _ = fork::set_dumpable(false); // until exec, nobody inside may look at our memory
    setsid().doing(|| "start a session".into())?;
    unshare(CloneFlags::CLONE_NEWCGROUP).doing(|| "make a cgroup namespace".into())?;
    become_root()?;
    root::assemble(root, start, mounts)?;
    sethostname(&start.hostname).doing(|| format!("set the host name `{}`", start.hostname))?;
    for (name, value) in &start.sysctl {
        fs::write(Path::new("/proc/sys").join(name), value)
            .doing(|| format!("set `linux.sysctl` key `{name}` to `{value}`"))?;
    }
    open_console(reply, &start.init[0])?;
    confine::apply(&start.confinement)?;
    nix::sys::stat::umask(Mode::from_bits_retain(0o022));
    execute(&start.init[0], &start.init, &start.environment)
}

/// The ids of the container's root. All capabilities over the container stay.
pub(crate) fn become_root() -> Outcome {
    let what = || "become the container's root".to_owned();
    setgroups(&[]).doing(what)?;
    setresgid(0.into(), 0.into(), 0.into()).doing(what)?;
    setresuid(0.into(), 0.into(), 0.into()).doing(what)
}

/// `/dev/console`: a terminal of the container's own, on descriptors 0 to 2, its master with the driver.
fn open_console(reply: &OwnedFd, init: &str) -> Outcome {
    let what = || "make the console".to_owned();
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = open("/dev/pts/ptmx", flags, Mode::empty()).doing(what)?;
    let slave = terminal::slave(master.as_fd()).doing(what)?;
    let path = format!("/dev/pts/{}", terminal::number(master.as_fd()).doing(what)?);
    root::bind(Path::new(&path), Path::new("/dev/console"))?;
    terminal::control(slave.as_fd()).doing(what)?;
    for number in 0..3 {
        fork::duplicate_onto(slave.as_fd(), number).doing(what)?;
    }
    let init = fs::canonicalize(init).map_or_else(|_| init.to_owned(), |path| path.to_string_lossy().into_owned());
    order::send(reply.as_fd(), &Report::Console { init }, &[master, slave]).doing(|| "report".into())
}

/// Becomes the program at `path`.
pub(crate) fn execute(
    path: &str,
    arguments: &[String],
    environment: &[(String, String)],
) -> Result<Infallible, Failure> {
    let bad = || format!("execute `{path}`: a zero byte in its arguments or environment");
    let program = CString::new(path).map_err(|_| Errno::EINVAL).doing(bad)?;
    let arguments = strings(arguments.iter().cloned()).doing(bad)?;
    let environment = strings(environment.iter().map(|(name, value)| format!("{name}={value}"))).doing(bad)?;
    fork::reset_signals();
    fork::close_on_exec_from(3).doing(|| "hide descriptors".into())?;
    let result = fork::execute(&program, &arguments, &environment);
    let kind = match result {
        Err(Errno::ENOENT | Errno::ENOTDIR) => FailureKind::NoProgram,
        Err(Errno::EACCES | Errno::ENOEXEC | Errno::EISDIR | Errno::EPERM | Errno::ELOOP) => FailureKind::NotExecutable,
        _ => FailureKind::Other,
    };
    result.doing_as(kind, || format!("execute `{path}`"))
}

fn strings(texts: impl Iterator<Item = String>) -> Result<Vec<CString>, Errno> {
    texts.map(|text| CString::new(text).map_err(|_| Errno::EINVAL)).collect()
}
