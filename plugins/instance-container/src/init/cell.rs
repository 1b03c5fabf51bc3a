//! A cell: a process waiting in new user and network namespaces until it is told what to run in them.
//!
//! It keeps the driver's own user id, which nobody inside can be, and all capabilities over its namespaces. The id lets
//! it place processes in cgroups; the first process of the container gives it up.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use hull_sys::fork::{self, Forked};
use instance_container::order::{self, CellOrder, Failure, FailureKind, MountPoint, Report, Start};
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;

use crate::boot;
use crate::failure::{Doing, Outcome, refused};

/// Makes the namespaces, then obeys until it has started init or the driver lets it go.
pub(crate) fn run(reply: &OwnedFd) -> Outcome {
    let _ = nix::unistd::setsid(); // a terminal's signals are not for us
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
        .doing(|| "make user and network namespaces".into())?;
    let _ = hull_sys::netlink::loopback_up(); // without it the container merely has no 127.0.0.1
    let namespaces = [namespace("user")?, namespace("net")?];
    let pid = nix::unistd::getpid().as_raw();
    order::send(reply.as_fd(), &Report::Unshared { pid }, &namespaces).doing(|| "report".into())?;
    drop(namespaces);

    let mut mounts = Vec::new();
    let mut joined = Joined::default();
    while let Some((order, mut descriptors)) = order::receive(reply.as_fd()).doing(|| "receive orders".into())? {
        match order {
            CellOrder::Join { legacy, unified } => joined = join(&legacy, unified.as_deref()),
            CellOrder::Mount(point) => mounts.push((point, descriptors.pop().ok_or_else(|| refused("mount nothing"))?)),
            CellOrder::Start(start) => {
                let root = descriptors.pop().ok_or_else(|| refused("start without a root file system"))?;
                return launch(reply, &start, joined, root, mounts);
            }
        }
    }
    Ok(())
}

fn namespace(kind: &str) -> Outcome<OwnedFd> {
    let path = format!("/proc/self/ns/{kind}");
    open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).doing(|| format!("open `{path}`"))
}

/// Where init is to be born, as far as that has worked.
#[derive(Default)]
struct Joined {
    unified: Option<OwnedFd>,
    failure: Option<Failure>,
}

/// Joining costs milliseconds when the kernel's lock is cold, so it is done while the root is being mounted; a failure
/// is kept for [`launch`] to report.
fn join(legacy: &[String], unified: Option<&str>) -> Joined {
    let failure = join_legacy(legacy).err();
    match unified.map(open_unified).transpose() {
        Ok(unified) => Joined { unified, failure },
        Err(error) => Joined { unified: None, failure: failure.or(Some(error)) },
    }
}

/// Moves this process into v1 groups. A single thread's move needs no lock over all processes.
pub(crate) fn join_legacy(groups: &[String]) -> Outcome {
    groups.iter().try_for_each(|group| {
        let path = Path::new(group).join("tasks");
        std::fs::write(&path, "0").doing_as(FailureKind::Cgroup, || format!("join the cgroup `{group}`"))
    })
}

pub(crate) fn open_unified(group: &str) -> Outcome<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(group, flags, Mode::empty()).doing_as(FailureKind::Cgroup, || format!("open the cgroup `{group}`"))
}

fn launch(
    reply: &OwnedFd,
    start: &Start,
    joined: Joined,
    root: OwnedFd,
    mounts: Vec<(MountPoint, OwnedFd)>,
) -> Outcome {
    if let Some(failure) = joined.failure {
        return Err(failure);
    }
    let namespaces =
        CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC;
    let group: Option<BorrowedFd> = joined.unified.as_ref().map(AsFd::as_fd);
    let forked = fork::fork_into(namespaces, group);
    let kind = if group.is_some() { FailureKind::Cgroup } else { FailureKind::Other };
    match forked.doing_as(kind, || "make the container's first process".into())? {
        Forked::Child => {
            let Err(failure) = boot::run(reply, start, &root, mounts);
            let _ = order::send(reply.as_fd(), &Report::Failed(failure), &[]); // the driver may be gone
            fork::exit_now(1)
        }
        Forked::Parent(pid, process) => {
            order::send(reply.as_fd(), &Report::Started { pid }, &[process]).doing(|| "report".into())
        }
    }
}
