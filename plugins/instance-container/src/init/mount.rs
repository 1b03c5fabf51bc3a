//! Further mounts inside a container: before init runs and while it does.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hull_sys::mount::move_mount;
use instance_container::order::{self, MountPoint, Report};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, umount2};
use nix::sched::CloneFlags;
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::sys::statvfs::{FsFlags, fstatvfs};

use crate::boot::become_root;
use crate::failure::{Doing, Outcome, refused};
use crate::lock::{is_directory, lock};
use crate::path::{enter, make_parents, open_in, parent, root_directory};

/// Attaches a locked mount below the present root directory.
pub(crate) fn attach_at_start(point: &MountPoint, tree: &OwnedFd) -> Outcome {
    let what = || format!("mount at `{}`", point.path);
    let root = root_directory()?;
    let target = mount_point(&root, &point.path, is_directory(tree).doing(what)?)?;
    move_mount(tree.as_fd(), target.as_fd(), Path::new("")).doing(what)
}

/// In a running container.
pub(crate) fn attach(reply: &OwnedFd, point: &MountPoint, descriptors: Vec<OwnedFd>) -> Outcome {
    let [init, tree] = <[OwnedFd; 2]>::try_from(descriptors).map_err(|_| refused("mount: descriptors are missing"))?;
    let tree = lock(&tree, point.access(), &init)?;
    enter(&init, CloneFlags::CLONE_NEWNS)?;
    become_root()?;
    if !is_attached(point, &tree)? {
        attach_at_start(point, &tree)?;
    }
    order::send(reply.as_fd(), &Report::Done, &[]).doing(|| "report".into())
}

/// Whether the same is there already. Whoever ordered it may not have heard the answer, nor its successor remember the order;
/// once more would be a second mount on top, and unmounting would take away only that.
fn is_attached(point: &MountPoint, tree: &OwnedFd) -> Outcome<bool> {
    let what = || format!("look at `{}`", point.path);
    let Ok(there) = open_in(&root_directory()?, Path::new(&point.path), OFlag::O_PATH, 0) else { return Ok(false) };
    let (old, new) = (fstat(&there).doing(what)?, fstat(tree).doing(what)?);
    let read_only = |fd| fstatvfs(fd).map(|status| status.flags().contains(FsFlags::ST_RDONLY)).doing(what);
    Ok((old.st_dev, old.st_ino) == (new.st_dev, new.st_ino) && read_only(&there)? == read_only(tree)?)
}

/// In a running container; what is not mounted needs nothing.
pub(crate) fn detach(reply: &OwnedFd, path: &str, descriptors: Vec<OwnedFd>) -> Outcome {
    let [init] = <[OwnedFd; 1]>::try_from(descriptors).map_err(|_| refused("unmount: a descriptor is missing"))?;
    enter(&init, CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    become_root()?;
    let root = root_directory()?;
    if let Err(Errno::ENOENT | Errno::ENOTDIR) = open_in(&root, Path::new(path), OFlag::O_PATH, 0) {
        return order::send(reply.as_fd(), &Report::Done, &[]).doing(|| "report".into());
    }
    let (directory, name) = parent(&root, path)?;
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
