//! Further mounts inside a container: before init runs and while it does.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hull_sys::descriptor;
use hull_sys::mount::{Depth, attribute, move_mount, restrict};
use instance_container::order::{self, MountPoint, Report};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, umount2};
use nix::sched::CloneFlags;
use nix::sys::stat::{Mode, mkdirat};

use crate::boot::become_root;
use crate::failure::{Doing, Outcome, refused};
use crate::path::{enter, make_parents, open_in, parent, root_directory};

/// Attaches below the present root directory.
pub(crate) fn attach_at_start(point: &MountPoint, tree: &OwnedFd) -> Outcome {
    let what = || format!("mount at `{}`", point.path);
    let root = root_directory()?;
    let directory = descriptor::mode(tree).doing(what)? & libc::S_IFMT == libc::S_IFDIR;
    let target = mount_point(&root, &point.path, directory)?;
    if point.read_only {
        restrict(tree.as_fd(), attribute::READ_ONLY, Depth::This).doing(what)?;
    }
    move_mount(tree.as_fd(), target.as_fd(), Path::new("")).doing(what)
}

/// In a running container.
pub(crate) fn attach(reply: &OwnedFd, point: &MountPoint, descriptors: Vec<OwnedFd>) -> Outcome {
    let [init, tree] = <[OwnedFd; 2]>::try_from(descriptors).map_err(|_| refused("mount: descriptors are missing"))?;
    enter(&init, CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    become_root()?;
    attach_at_start(point, &tree)?;
    order::send(reply.as_fd(), &Report::Done, &[]).doing(|| "report".into())
}

/// In a running container; what is not mounted needs nothing.
pub(crate) fn detach(reply: &OwnedFd, path: &str, descriptors: Vec<OwnedFd>) -> Outcome {
    let [init] = <[OwnedFd; 1]>::try_from(descriptors).map_err(|_| refused("unmount: a descriptor is missing"))?;
    enter(&init, CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    become_root()?;
    let (directory, name) = parent(&root_directory()?, path)?;
    let what = || format!("unmount `{path}`");
    // The name is taken relative to the directory already found: no link can change in between.
    nix::unistd::fchdir(directory.as_fd()).doing(what)?;
    match umount2(name, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT | Errno::ENOTDIR) => {}
        failed => return failed.doing(what),
    }
    order::send(reply.as_fd(), &Report::Done, &[]).doing(|| "report".into())
}

fn mount_point(root: &OwnedFd, path: &str, directory: bool) -> Outcome<OwnedFd> {
    let what = || format!("make the mount point `{path}`");
    let whole = Path::new(path);
    match open_in(root, whole, OFlag::O_PATH, 0) {
        Err(Errno::ENOENT) => {}
        opened => return opened.doing(what),
    }
    let above = make_parents(root, path)?;
    let name = whole.file_name().ok_or_else(|| refused(what()))?;
    if directory {
        mkdirat(&above, name, Mode::from_bits_retain(0o755)).doing(what)?;
    } else {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_WRONLY;
        nix::fcntl::openat(&above, name, flags, Mode::from_bits_retain(0o644)).doing(what)?;
    }
    open_in(root, whole, OFlag::O_PATH, 0).doing(what)
}
