//! Running a command in a container, and waiting for its end.

use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use hull_sys::fork::{self, Forked};
use hull_sys::terminal;
use instance_container::order::{self, Exec, Failure, FailureKind, Report};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::CloneFlags;
use nix::sys::stat::Mode;
use nix::unistd::{chdir, fchown, setresgid, setresuid, setsid};

use crate::boot::{become_root, execute};
use crate::cell::{join_legacy, open_unified};
use crate::confine;
use crate::failure::{Doing, Outcome, refused};
use crate::path::enter;

/// Where commands go when the container's own group takes no processes, because its init has made groups below it.
const SIDE_GROUP: &str = "hull.exec";
/// To the kernel: "leave it as it is".
const NO_ID: u32 = u32::MAX;
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Starts the command and stays until it has ended: the driver may be gone by then.
pub(crate) fn run(reply: &OwnedFd, exec: &Exec, mut descriptors: Vec<OwnedFd>) -> Outcome {
    let missing = || refused("run a command: descriptors are missing");
    if [exec.user, exec.group].contains(&NO_ID) {
        return Err(refused(format!("run a command as {}:{}: {NO_ID} is nobody's number", exec.user, exec.group)));
    }
    if descriptors.len() != if exec.terminal.is_some() { 2 } else { 5 } || exec.command.is_empty() {
        return Err(missing());
    }
    // Before anything of the container's can stop or find us: nobody inside may look at our memory or take our descriptors.
    // The command's process inherits that, and sheds it when it executes.
    fork::set_dumpable(false).doing(|| "hide from the container".into())?;
    let init = descriptors.remove(0);
    let mut status = File::from(descriptors.pop().ok_or_else(missing)?);
    join_legacy(&exec.legacy_cgroups)?;
    let group = exec.unified_cgroup.as_deref().map(open_unified).transpose()?;
    let side = group.as_ref().map(|group| side_group(group, &init)).transpose()?.flatten();
    let namespaces = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET;
    enter(&init, namespaces)?;
    match fork(group.as_ref(), side.as_ref())? {
        Forked::Child => {
            drop(status);
            let Err(failure) = become_command(reply, exec, &init, &descriptors);
            let _ = order::send(reply.as_fd(), &Report::Failed(failure), &[]); // the driver may be gone
            fork::exit_now(127)
        }
        Forked::Parent(pid, command) => {
            order::send(reply.as_fd(), &Report::Started { pid }, &[command]).doing(|| "report".into())?;
            // Nothing may be kept open but the pipe: others wait for the ends of the command's streams and of ours.
            drop((std::mem::take(&mut descriptors), init, group, side));
            for number in [1, 2, reply.as_raw_fd()] {
                let _ = fork::duplicate_onto(std::io::stdin().as_fd(), number); // `/dev/null`
            }
            let ended = fork::wait(pid).doing(|| "wait for the command".into())?;
            let _ = status.write_all(&ended.to_le_bytes()); // nobody may be interested any more
            Ok(())
        }
    }
}

fn fork(group: Option<&OwnedFd>, side: Option<&OwnedFd>) -> Outcome<Forked> {
    let what = || "start a process in the container".to_owned();
    let Some(group) = group else { return fork::fork_into(CloneFlags::empty(), None).doing(what) };
    let forked = match (fork::fork_into(CloneFlags::empty(), Some(group.as_fd())), side) {
        (Err(Errno::EBUSY), Some(side)) => fork::fork_into(CloneFlags::empty(), Some(side.as_fd())),
        (forked, _) => forked,
    };
    forked.doing_as(FailureKind::Cgroup, what)
}

/// [`SIDE_GROUP`], if `group` may need one. The container may make a group of that name, too, and stop what is born there:
/// only one of our own will do. That can be seen only from outside, where ids are what they are.
fn side_group(group: &OwnedFd, init: &OwnedFd) -> Outcome<Option<OwnedFd>> {
    let what = || format!("use the cgroup `{SIDE_GROUP}`");
    let cgroup = FailureKind::Cgroup;
    if read_below(group, "cgroup.subtree_control").doing_as(cgroup, what)?.trim().is_empty() {
        return Ok(None);
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let open = || nix::fcntl::openat(group, SIDE_GROUP, flags, Mode::empty());
    let side = match open() {
        Err(Errno::ENOENT) => make_side_group(group, init).and_then(|()| open()),
        opened => opened,
    };
    let side = side.doing_as(cgroup, what)?;
    let owner = nix::sys::stat::fstat(&side).doing_as(cgroup, what)?.st_uid;
    check_side_group(owner, &read_below(&side, "cgroup.freeze").doing_as(cgroup, what)?)?;
    Ok(Some(side))
}

fn check_side_group(owner: u32, frozen: &str) -> Outcome {
    let refuse =
        |why: &str| Failure { kind: FailureKind::Cgroup, ..refused(format!("use the cgroup `{SIDE_GROUP}`: {why}")) };
    if owner != nix::unistd::geteuid().as_raw() {
        return Err(refuse("it was made inside of the container"));
    }
    if frozen.trim() == "1" { Err(refuse("it is frozen")) } else { Ok(()) }
}

/// Only the container's root may make groups there, and a process that has become it does not come back: a child does it. The
/// group is this process's user's all the same.
fn make_side_group(group: &OwnedFd, init: &OwnedFd) -> nix::Result<()> {
    match fork::fork_into(CloneFlags::empty(), None)? {
        Forked::Child => {
            let made = nix::sched::setns(init, CloneFlags::CLONE_NEWUSER)
                .and_then(|()| nix::sys::stat::mkdirat(group, SIDE_GROUP, Mode::from_bits_retain(0o755)));
            fork::exit_now(made.err().map_or(0, |error| error as i32))
        }
        Forked::Parent(pid, _) => match fork::wait(pid)? {
            status if libc::WIFEXITED(status) => match libc::WEXITSTATUS(status) {
                0 | libc::EEXIST => Ok(()), // another command was faster
                error => Err(Errno::from_raw(error)),
            },
            _ => Err(Errno::EINTR),
        },
    }
}

fn read_below(directory: &OwnedFd, name: &str) -> nix::Result<String> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = File::from(nix::fcntl::openat(directory, name, flags, Mode::empty())?);
    std::io::read_to_string(file).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
}

fn become_command(reply: &OwnedFd, exec: &Exec, init: &OwnedFd, streams: &[OwnedFd]) -> Result<Infallible, Failure> {
    enter(init, CloneFlags::CLONE_NEWCGROUP)?;
    become_root()?;
    setsid().doing(|| "start a session".into())?;
    match exec.terminal {
        Some((columns, rows)) => open_terminal(reply, columns, rows, exec.user)?,
        None => {
            for (number, stream) in (0..).zip(streams) {
                fork::duplicate_onto(stream.as_fd(), number).doing(|| "set the standard streams".into())?;
            }
        }
    }
    confine::apply(&exec.confinement)?;
    setresgid(exec.group.into(), exec.group.into(), exec.group.into())
        .doing(|| format!("become group {}", exec.group))?;
    setresuid(exec.user.into(), exec.user.into(), exec.user.into()).doing(|| format!("become user {}", exec.user))?;
    if exec.directory.is_empty() || chdir(exec.directory.as_str()).is_err() {
        let _ = chdir("/"); // as LXD: a missing directory is no error
    }
    nix::sys::stat::umask(Mode::from_bits_retain(0o022));
    search(exec)
}

/// A terminal of the container's own, so that its programs can name it.
fn open_terminal(reply: &OwnedFd, columns: u16, rows: u16, user: u32) -> Outcome {
    let what = || "make a terminal in the container".to_owned();
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = open("/dev/pts/ptmx", flags, Mode::empty()).doing(what)?;
    let slave = terminal::slave(master.as_fd()).doing(what)?;
    if (columns, rows) != (0, 0) {
        terminal::resize(slave.as_fd(), columns, rows).doing(what)?;
    }
    fchown(&slave, Some(user.into()), None).doing(what)?;
    terminal::control(slave.as_fd()).doing(what)?;
    for number in 0..3 {
        fork::duplicate_onto(slave.as_fd(), number).doing(what)?;
    }
    order::send(reply.as_fd(), &Report::Terminal, &[master]).doing(|| "report".into())
}

/// As a shell would find it: the first match in `PATH` that can be executed.
fn search(exec: &Exec) -> Result<Infallible, Failure> {
    let command = &exec.command[0];
    if command.contains('/') {
        return run_program(command, exec);
    }
    let path = exec.environment.iter().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, value)| value);
    let mut result = None;
    for directory in path.split(':').filter(|directory| !directory.is_empty()) {
        let candidate = Path::new(directory).join(command);
        if !candidate.exists() {
            continue;
        }
        let Err(failure) = run_program(&candidate.to_string_lossy(), exec);
        result = Some(failure);
    }
    Err(result.unwrap_or_else(|| Failure {
        kind: FailureKind::NoProgram,
        what: format!("execute `{command}`: it is in none of `{path}`"),
        errno: Errno::ENOENT as i32,
    }))
}

/// A text file without `#!` is a shell script, as everywhere.
fn run_program(path: &str, exec: &Exec) -> Result<Infallible, Failure> {
    let Err(failure) = execute(path, &exec.command, &exec.environment);
    if failure.errno != Errno::ENOEXEC as i32 {
        return Err(failure);
    }
    let mut arguments = vec!["/bin/sh".to_owned(), path.to_owned()];
    arguments.extend_from_slice(&exec.command[1..]);
    execute("/bin/sh", &arguments, &exec.environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_group_of_others_is_refused() {
        let own = nix::unistd::geteuid().as_raw();
        assert!(check_side_group(own, "0\n").is_ok());
        assert!(check_side_group(own, "1\n").is_err());
        assert!(check_side_group(own + 1, "0\n").is_err());
    }
}
