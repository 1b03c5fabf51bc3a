//! Mounts whose attributes the container's root cannot take off again.
//!
//! It may change every mount of its mount namespace, also one that was moved in from outside; but not the attributes of what
//! came with a copy of a mount namespace that belongs to another user namespace (mount_namespaces(7)). So each mount goes
//! through such a copy before the container gets it:
//!
//! ```text
//! driver's user namespace           container's user namespace
//! restricted, attached ── copy ──▶ locked ── clone ──▶ detached, still locked: may be attached and unmounted
//! ```
//! Both mount namespaces are this process's alone and end with it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hull_sys::descriptor;
use hull_sys::mount::{Depth, attribute, move_mount, open_tree_clone, restrict};
use instance_container::order::{self, Access, Report};
use nix::fcntl::AT_FDCWD;
use nix::sched::{CloneFlags, unshare};

use crate::failure::{Doing, Outcome, refused};
use crate::path::enter;

/// For a container that does not run yet.
pub(crate) fn run(reply: &OwnedFd, access: Access, descriptors: Vec<OwnedFd>) -> Outcome {
    let [user_namespace, tree] =
        <[OwnedFd; 2]>::try_from(descriptors).map_err(|_| refused("lock a mount: descriptors are missing"))?;
    let locked = lock(&tree, access, &user_namespace)?;
    order::send(reply.as_fd(), &Report::Locked, &[locked]).doing(|| "report".into())
}

/// The detached `tree` without device nodes, locked. This process is in the user namespace of `owner` (one, or a process)
/// afterwards.
pub(crate) fn lock(tree: &OwnedFd, access: Access, owner: &OwnedFd) -> Outcome<OwnedFd> {
    let what = || "lock a mount's attributes".to_owned();
    let attributes = match access {
        Access::ReadWrite => attribute::NO_DEVICES,
        Access::ReadOnly => attribute::NO_DEVICES | attribute::READ_ONLY,
    };
    unshare(CloneFlags::CLONE_NEWNS).doing(what)?;
    restrict(tree.as_fd(), attributes, Depth::Recursive).doing(what)?;
    let place = Path::new(if is_directory(tree).doing(what)? { "/usr" } else { "/dev/null" });
    move_mount(tree.as_fd(), AT_FDCWD, place).doing(what)?;
    enter(owner, CloneFlags::CLONE_NEWUSER)?;
    unshare(CloneFlags::CLONE_NEWNS).doing(what)?;
    open_tree_clone(AT_FDCWD, place, Depth::Recursive).doing(what)
}

pub(crate) fn is_directory(tree: &OwnedFd) -> nix::Result<bool> {
    Ok(descriptor::mode(tree)? & libc::S_IFMT == libc::S_IFDIR)
}
