//! The sandbox's file tree: an empty one in memory, and what the plan puts into it.

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hull_sys::mount::{Depth, attribute, move_mount, open_tree_clone, restrict};
use hull_sys::sandbox::private_procfs;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};

use super::plan::{Access, Mount, MountKind, Plan, Proc, Required};
use super::stage::{Context, StageError};

/// Where the new root is put before it becomes the root; everything needed from below has been cloned by then.
const PLACE: &str = "/usr";

/// A mount still in hand, or what stands for one.
enum Piece {
    Tree(OwnedFd, Shape),
    Link(PathBuf),
    Memory(u64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Directory,
    File,
}

pub(super) fn make(plan: &Plan) -> Result<(), StageError> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).during("mounts")?;
    let host = File::open("/").during("cannot open /")?;
    let mut pieces = Vec::new();
    for mount in plan.mounts.iter().filter(|mount| !is_proc(&mount.target)) {
        if let Some(piece) = take(host.as_fd(), mount)? {
            pieces.push((piece, &mount.target));
        }
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("root"), PLACE, Some("tmpfs"), flags, Some("mode=755,size=1m")).during("cannot make a root")?;
    for (piece, target) in pieces {
        put(piece, target)?;
    }
    proc(plan, host.as_fd())?;
    let root = File::open(PLACE).during("cannot open the new root")?;
    restrict(root.as_fd(), attribute::READ_ONLY, Depth::This).during("cannot protect the new root")?;
    drop(host);
    chdir(PLACE).during("cannot enter the new root")?;
    pivot_root(".", ".").during("cannot change the root")?;
    umount2(".", MntFlags::MNT_DETACH).during("cannot leave the host's tree")?;
    chdir("/").during("cannot enter the root")
}

fn take(host: BorrowedFd, mount: &Mount) -> Result<Option<Piece>, StageError> {
    Ok(Some(match &mount.kind {
        MountKind::Link(text) => Piece::Link(text.clone()),
        MountKind::Memory(bytes) => Piece::Memory(*bytes),
        MountKind::Device(path) => match fs::metadata(path) {
            Ok(status) if status.file_type().is_char_device() || status.file_type().is_block_device() => {
                Piece::Tree(tree(host, path, attribute::NO_SUID | attribute::NO_EXECUTE)?, Shape::File)
            }
            _ => return Ok(None), // a device that the machine does not have
        },
        MountKind::Bind { source, access, required } => {
            let shape = match fs::metadata(source) {
                Ok(status) if status.is_dir() => Shape::Directory,
                Ok(_) => Shape::File,
                Err(_) if *required == Required::IfThere => return Ok(None),
                Err(error) => return Err(error).during(format_args!("cannot show `{}`", source.display())),
            };
            Piece::Tree(tree(host, source, attributes(*access))?, shape)
        }
    }))
}

fn attributes(access: Access) -> u64 {
    let always = attribute::NO_SUID | attribute::NO_DEVICES;
    match access {
        Access::Read => always | attribute::READ_ONLY,
        Access::Write => always,
        Access::Data => always | attribute::NO_EXECUTE,
    }
}

fn tree(host: BorrowedFd, path: &Path, attributes: u64) -> Result<OwnedFd, StageError> {
    let what = || format!("cannot show `{}`", path.display());
    let relative = path.strip_prefix("/").unwrap_or(path);
    let tree = open_tree_clone(host, relative, Depth::Recursive).during(what())?;
    restrict(tree.as_fd(), attributes, Depth::Recursive).during(what())?;
    Ok(tree)
}

fn put(piece: Piece, target: &Path) -> Result<(), StageError> {
    let place = inside(target);
    let what = || format!("cannot put `{}` in place", target.display());
    match piece {
        Piece::Link(text) => {
            parents(&place).during(what())?;
            symlink(text, &place).during(what())
        }
        Piece::Memory(bytes) => {
            mount_point(&place, Shape::Directory).during(what())?;
            let options = format!("mode=1777,size={bytes}");
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
            mount(Some("memory"), &place, Some("tmpfs"), flags, Some(options.as_str())).during(what())
        }
        Piece::Tree(tree, shape) => {
            mount_point(&place, shape).during(what())?;
            let root = File::open("/").during(what())?;
            move_mount(tree.as_fd(), root.as_fd(), place.strip_prefix("/").unwrap_or(&place)).during(what())
        }
    }
}

/// A procfs of its own, and what the plan lets be written in it.
fn proc(plan: &Plan, host: BorrowedFd) -> Result<(), StageError> {
    let granted = plan.mounts.iter().filter(|mount| is_proc(&mount.target));
    let mut trees = Vec::new();
    for mount in granted {
        if let MountKind::Bind { source, access, .. } = &mount.kind
            && source.exists()
        {
            let shape = if source.is_dir() { Shape::Directory } else { Shape::File };
            trees.push((Piece::Tree(tree(host, source, attributes(*access))?, shape), &mount.target));
        }
    }
    if plan.proc != Proc::None {
        let place = inside(Path::new("/proc"));
        mount_point(&place, Shape::Directory).during("/proc")?;
        let procfs = private_procfs().during("cannot make a procfs")?;
        if plan.proc == Proc::ReadOnly {
            restrict(procfs.as_fd(), attribute::READ_ONLY, Depth::This).during("/proc")?;
        }
        let root = File::open("/").during("/proc")?;
        move_mount(procfs.as_fd(), root.as_fd(), place.strip_prefix("/").unwrap_or(&place)).during("/proc")?;
    }
    trees.into_iter().try_for_each(|(piece, target)| put(piece, target))
}

fn is_proc(target: &Path) -> bool {
    target.starts_with("/proc")
}

fn inside(target: &Path) -> PathBuf {
    Path::new(PLACE).join(target.strip_prefix("/").unwrap_or(target))
}

fn mount_point(place: &Path, shape: Shape) -> std::io::Result<()> {
    if place.exists() {
        return Ok(());
    }
    parents(place)?;
    match shape {
        Shape::Directory => fs::DirBuilder::new().mode(0o755).create(place),
        Shape::File => {
            File::create(place)?;
            fs::set_permissions(place, fs::Permissions::from_mode(0o644))
        }
    }
}

fn parents(place: &Path) -> std::io::Result<()> {
    let parent = place.parent().ok_or(std::io::Error::from(Errno::EINVAL))?;
    fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)
}
