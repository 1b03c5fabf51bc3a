//! The container's file systems: its root, what the kernel offers, `/dev`, and what else was asked for.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use hull_sys::filesystem;
use hull_sys::mount::{Depth, attribute, move_mount, open_tree_clone, restrict};
use instance_container::order::{MountPoint, Start};
use nix::mount::{MsFlags, mount};

use crate::failure::{Doing, Outcome, refused};
use crate::mount::attach_at_start;

/// Devices every container has, as the driver's sandbox has them.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Devices a container has if the driver has them.
const OPTIONAL_DEVICES: [&str; 2] = ["fuse", "net/tun"];
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];
/// What lxcfs answers in the container's own terms.
const LXCFS: [&str; 8] = [
    "proc/cpuinfo",
    "proc/diskstats",
    "proc/loadavg",
    "proc/meminfo",
    "proc/stat",
    "proc/swaps",
    "proc/uptime",
    "sys/devices/system/cpu/online",
];
/// Files about the host's kernel that read as empty.
const MASKED: [&str; 3] = ["/proc/kcore", "/proc/timer_list", "/proc/sched_debug"];
/// Controls of the host's kernel that cannot be written.
const READ_ONLY: [&str; 4] = ["/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/acpi"];

const KERNEL: u64 = attribute::NO_SUID | attribute::NO_DEVICES | attribute::NO_EXECUTE;

/// Detached mounts that can be made only while the driver's root is still there: the kernel lets a user namespace have a
/// new procfs or sysfs only where it already sees a whole one.
struct Kernel {
    proc: OwnedFd,
    sys: OwnedFd,
    nested: Option<(OwnedFd, OwnedFd)>,
    devices: Vec<(&'static str, OwnedFd)>,
    lxcfs: Vec<(&'static str, OwnedFd)>,
}

/// Makes `root` the root directory with everything in its place.
pub(crate) fn assemble(root: &OwnedFd, start: &Start, mounts: Vec<(MountPoint, OwnedFd)>) -> Outcome {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .doing(|| "make the mounts private".into())?;
    let kernel = Kernel::prepare(start.nesting)?;
    // On a mount of its own: older kernels change to no root that lies on one which this namespace was given.
    let anchor =
        filesystem::create(c"tmpfs", &[("size", "4k")], KERNEL).doing(|| "make a place for the root".into())?;
    let cover = |tree: &OwnedFd| move_mount(tree.as_fd(), nix::fcntl::AT_FDCWD, Path::new("/usr"));
    cover(&anchor).and_then(|()| cover(root)).doing(|| "attach the root file system".into())?;
    filesystem::pivot(root.as_fd()).doing(|| "change the root directory".into())?;
    // From here on every path is the container's own: links in it cannot lead out.
    kernel.attach()?;
    make_devices(kernel.devices)?;
    if let Some((proc, sys)) = kernel.nested {
        place(&proc, "/dev/.lxc/proc", Kind::Directory)?;
        place(&sys, "/dev/.lxc/sys", Kind::Directory)?;
    } else {
        mask()?;
    }
    boot_id(&start.boot_id)?;
    for (path, tree) in kernel.lxcfs {
        // An lxcfs of another version lacks some files; the kernel's own answer is then seen.
        let _ = move_mount(tree.as_fd(), nix::fcntl::AT_FDCWD, &Path::new("/").join(path));
    }
    mounts.iter().try_for_each(|(point, tree)| attach_at_start(point, tree))
}

impl Kernel {
    fn prepare(nesting: bool) -> Outcome<Self> {
        let tree = |path: &Path| open_tree_clone(nix::fcntl::AT_FDCWD, path, Depth::This);
        let mut devices = Vec::new();
        for name in DEVICES {
            let device = tree(&Path::new("/dev").join(name)).doing(|| format!("take the device `/dev/{name}`"))?;
            devices.push((name, device));
        }
        let optional = |name| tree(&Path::new("/dev").join(name)).ok().map(|device| (name, device));
        devices.extend(OPTIONAL_DEVICES.into_iter().filter_map(optional));
        let lxcfs = |name| tree(&Path::new("/var/lib/lxcfs").join(name)).ok().map(|file| (name, file));
        Ok(Self {
            proc: new_proc()?,
            sys: new_sys()?,
            nested: if nesting { Some((new_proc()?, new_sys()?)) } else { None },
            devices,
            lxcfs: LXCFS.into_iter().filter_map(lxcfs).collect(),
        })
    }

    fn attach(&self) -> Outcome {
        place(&self.proc, "/proc", Kind::Directory)?;
        place(&self.sys, "/sys", Kind::Directory)?;
        let options = [("mode", "755"), ("size", "512k")];
        let dev = filesystem::create(c"tmpfs", &options, attribute::NO_SUID).doing(|| "make `/dev`".into())?;
        place(&dev, "/dev", Kind::Directory)
    }
}

fn new_proc() -> Outcome<OwnedFd> {
    filesystem::create(c"proc", &[], KERNEL).doing(|| "make a procfs".into())
}

/// Writable where the driver's sandbox has a writable one, else read-only.
fn new_sys() -> Outcome<OwnedFd> {
    filesystem::create(c"sysfs", &[], KERNEL)
        .or_else(|_| filesystem::create(c"sysfs", &[], KERNEL | attribute::READ_ONLY))
        .doing(|| "make a sysfs".into())
}

fn make_devices(devices: Vec<(&str, OwnedFd)>) -> Outcome {
    for (name, device) in devices {
        place(&device, &format!("/dev/{name}"), Kind::File)?;
    }
    let options = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5"), ("max", "1024")];
    let terminals = filesystem::create(c"devpts", &options, attribute::NO_SUID | attribute::NO_EXECUTE)
        // A container without a group 5.
        .or_else(|_| filesystem::create(c"devpts", &options[..3], attribute::NO_SUID | attribute::NO_EXECUTE))
        .doing(|| "make `/dev/pts`".into())?;
    place(&terminals, "/dev/pts", Kind::Directory)?;
    let queues = filesystem::create(c"mqueue", &[], KERNEL).doing(|| "make `/dev/mqueue`".into())?;
    place(&queues, "/dev/mqueue", Kind::Directory)?;
    let shared = filesystem::create(c"tmpfs", &[("mode", "1777")], attribute::NO_SUID | attribute::NO_DEVICES)
        .doing(|| "make `/dev/shm`".into())?;
    place(&shared, "/dev/shm", Kind::Directory)?;
    for (target, name) in LINKS {
        symlink(target, Path::new("/dev").join(name)).doing(|| format!("make the link `/dev/{name}`"))?;
    }
    Ok(())
}

fn mask() -> Outcome {
    for path in MASKED.map(Path::new).into_iter().filter(|path| path.exists()) {
        bind_over(Path::new("/dev/null"), path)?;
    }
    for path in READ_ONLY.map(Path::new).into_iter().filter(|path| path.exists()) {
        let tree = clone(path)?;
        restrict(tree.as_fd(), attribute::READ_ONLY, Depth::This).doing(|| format!("protect `{}`", path.display()))?;
        move_mount(tree.as_fd(), nix::fcntl::AT_FDCWD, path).doing(|| format!("protect `{}`", path.display()))?;
    }
    Ok(())
}

/// Each start of a container is a boot of its own to programs that ask.
fn boot_id(id: &str) -> Outcome {
    let (file, over) = (Path::new("/dev/.lxc-boot-id"), Path::new("/proc/sys/kernel/random/boot_id"));
    fs::write(file, format!("{id}\n")).doing(|| "write the boot id".into())?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o444)).doing(|| "write the boot id".into())?;
    let tree = clone(file)?;
    restrict(tree.as_fd(), attribute::READ_ONLY, Depth::This).doing(|| "protect the boot id".into())?;
    move_mount(tree.as_fd(), nix::fcntl::AT_FDCWD, over).doing(|| "show the boot id".into())
}

enum Kind {
    File,
    Directory,
}

/// Attaches a detached mount at `path`, which is made if it is missing and must not be a link.
fn place(tree: &OwnedFd, path: &str, kind: Kind) -> Outcome {
    let target = Path::new(path);
    let what = || format!("mount `{path}`");
    let made = match kind {
        Kind::Directory => fs::create_dir_all(target),
        Kind::File => target
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::File::options().create(true).append(true).open(target).map(drop)),
    };
    made.doing(what)?;
    if fs::symlink_metadata(target).doing(what)?.is_symlink() {
        return Err(refused(format!("mount `{path}`: it is a symbolic link in the root file system")));
    }
    move_mount(tree.as_fd(), nix::fcntl::AT_FDCWD, target).doing(what)
}

fn clone(path: &Path) -> Outcome<OwnedFd> {
    open_tree_clone(nix::fcntl::AT_FDCWD, path, Depth::This).doing(|| format!("clone `{}`", path.display()))
}

fn bind_over(from: &Path, to: &Path) -> Outcome {
    let tree = clone(from)?;
    move_mount(tree.as_fd(), nix::fcntl::AT_FDCWD, to).doing(|| format!("cover `{}`", to.display()))
}

/// Shows the file `from` at `to`, which is made.
pub(crate) fn bind(from: &Path, to: &Path) -> Outcome {
    fs::File::options().create(true).append(true).open(to).doing(|| format!("make `{}`", to.display()))?;
    bind_over(from, to)
}
