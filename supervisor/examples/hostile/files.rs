//! Files, devices, kernel controls: what is below `/`, and what is not.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::Attempt;
use crate::sys::{address, call, try_call};

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("read-database", |t| read(t.hull_dir.join("database/hull.db"))),
    ("write-database", |t| write(t.hull_dir.join("database/hull.db"))),
    ("list-hull-dir", |t| list(&t.hull_dir)),
    ("read-other-pool", |t| read(&t.other_pool)),
    ("write-other-pool", |t| write(&t.other_pool)),
    ("climb-to-other-pool", |t| read(climb(&t.other_pool))),
    ("link-to-other-pool", |t| through_link(&t.other_pool)),
    ("hard-link-to-canary", |t| fs::hard_link(&t.canary, here("stolen"))),
    ("rename-canary", |t| fs::rename(&t.canary, here("renamed"))),
    ("read-canary", |t| read(&t.canary)),
    ("write-canary", |t| write(&t.canary)),
    ("climb-to-canary", |t| read(climb(&t.canary))),
    ("read-shadow", |_| read("/etc/shadow")),
    ("list-root-ssh", |_| list("/root/.ssh")),
    ("list-home", |_| list("/home")),
    ("write-usr", |_| fs::write("/usr/hostile", "x")),
    ("write-root", |_| fs::write("/hostile", "x")),
    ("write-passwd", |_| write("/etc/passwd")),
    ("write-ld-cache", |_| write("/etc/ld.so.cache")),
    ("write-own-program", |_| write("/plugin")),
    ("write-own-memory-file", |_| write("/proc/self/exe")),
    ("write-cron", |_| fs::write("/etc/cron.d/hostile", "x")),
    ("write-unit", |_| fs::write("/etc/systemd/system/hostile.service", "x")),
    ("open-dev-mem", |_| read("/dev/mem")),
    ("open-kmsg", |_| write("/dev/kmsg")),
    ("open-port", |_| read("/dev/port")),
    ("open-disk", |_| read_disk()),
    ("open-kvm", |_| write("/dev/kvm")),
    ("open-loop-control", |_| write("/dev/loop-control")),
    ("make-and-open-disk-node", |_| make_node(libc::S_IFBLK)),
    ("make-and-open-memory-node", |_| make_node(libc::S_IFCHR)),
    ("write-core-pattern", |_| fs::write("/proc/sys/kernel/core_pattern", "|/bin/false")),
    ("write-modprobe", |_| fs::write("/proc/sys/kernel/modprobe", "/bin/false")),
    ("write-hostname-control", |_| fs::write("/proc/sys/kernel/hostname", "hostile")),
    ("write-ptrace-scope", |_| fs::write("/proc/sys/kernel/randomize_va_space", "0")),
    ("write-overcommit", |_| fs::write("/proc/sys/vm/overcommit_memory", "1")),
    ("write-sysrq", |_| fs::write("/proc/sysrq-trigger", "h")),
    ("read-kcore", |_| read("/proc/kcore")),
    ("read-kernel-log", |_| read("/proc/kmsg")),
    ("write-uevent-helper", |_| fs::write("/sys/kernel/uevent_helper", "/bin/false")),
    ("write-power-state", |_| fs::write("/sys/power/state", "hostile")),
    ("read-debugfs", |_| list("/sys/kernel/debug/block").and_then(|()| write("/sys/kernel/debug/clear_warn_once"))),
    // What v1 runs for the host when a group is empty; v2 has no such thing, there it is whom a group kills.
    ("write-release-agent", |_| write_any_group(&["release_agent", "cgroup.kill"])),
    ("write-own-cgroup-limit", |_| write_any_group(&["memory.limit_in_bytes", "memory.max", "pids.max"])),
    ("write-host-cgroup", |_| enter_host_group()),
    ("make-host-cgroup", |_| make_host_group()),
    ("open-by-handle", |_| open_by_handle()),
    ("name-to-handle", |_| name_to_handle()),
    ("fanotify", |_| try_call(libc::SYS_fanotify_init, &[0, 0])),
    ("quotactl", |_| try_call(libc::SYS_quotactl, &[0x80_0001, 0, 0, 0])),
    ("swapon", |_| swap(libc::SYS_swapon)),
    ("swapoff", |_| swap(libc::SYS_swapoff)),
    ("set-user-id-program", |_| set_user_id()),
];

fn read(path: impl AsRef<Path>) -> io::Result<()> {
    use std::io::Read;
    File::open(path)?.read(&mut [0; 16]).map(drop)
}

/// Opens for writing, and writes nothing.
fn write(path: impl AsRef<Path>) -> io::Result<()> {
    File::options().write(true).open(path).map(drop)
}

fn list(path: impl AsRef<Path>) -> io::Result<()> {
    fs::read_dir(path).map(drop)
}

/// A place where this sandbox may write, if there is one.
fn here(name: &str) -> PathBuf {
    let folders = ["/pool", "/state", "/tmp", "/"];
    let folder = folders.iter().find(|folder| Path::new(folder).is_dir()).copied().unwrap_or("/");
    Path::new(folder).join(format!("hostile-{name}"))
}

fn climb(path: &Path) -> PathBuf {
    let up: PathBuf = std::iter::repeat_n("..", 64).collect();
    Path::new("/usr").join(up).join(path.strip_prefix("/").unwrap_or(path))
}

fn through_link(path: &Path) -> io::Result<()> {
    let link = here("link");
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(climb(path), &link)?;
    let result = read(&link);
    fs::remove_file(&link)?;
    result
}

fn read_disk() -> io::Result<()> {
    let disks = ["/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/loop0"];
    disks.iter().map(read).find(Result::is_ok).unwrap_or(Err(io::ErrorKind::NotFound.into()))
}

/// The root disk's, or the kernel's memory: making the node may be allowed, using it may not.
fn make_node(kind: libc::mode_t) -> io::Result<()> {
    let path = here("node");
    let _ = fs::remove_file(&path);
    let device = if kind == libc::S_IFBLK { libc::makedev(254, 0) } else { libc::makedev(1, 11) };
    let kind = nix::sys::stat::SFlag::from_bits_truncate(kind);
    nix::sys::stat::mknod(&path, kind, nix::sys::stat::Mode::S_IRUSR, device)?;
    let result = File::open(&path).map(drop);
    fs::remove_file(&path)?;
    result
}

/// Where v1 has the controllers that count here, then where v2 has all of them.
const HOST_GROUPS: [&str; 4] =
    ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids", "/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
const HULL_GROUPS: [&str; 3] = ["/cgroup/memory", "/cgroup/pids", "/cgroup/unified"];

/// One of the files in a group that is in sight, by v1's name or v2's.
fn write_any_group(files: &[&str]) -> io::Result<()> {
    let places = HOST_GROUPS.iter().chain(&HULL_GROUPS);
    any(places.flat_map(|place| files.iter().map(move |file| Path::new(place).join(file))).map(write))
}

fn enter_host_group() -> io::Result<()> {
    any(HOST_GROUPS.iter().map(|place| fs::write(Path::new(place).join("cgroup.procs"), "0")))
}

fn make_host_group() -> io::Result<()> {
    any(HOST_GROUPS.iter().map(|place| {
        let group = Path::new(place).join("hostile");
        fs::create_dir(&group)?;
        // It was allowed, whatever becomes of it.
        let _ = fs::remove_dir(&group);
        Ok(())
    }))
}

/// Denied only if every try is: then with the last error.
fn any(tries: impl Iterator<Item = io::Result<()>>) -> io::Result<()> {
    let mut denied = Err(io::ErrorKind::PermissionDenied.into());
    for tried in tries {
        if tried.is_ok() {
            return tried;
        }
        denied = tried;
    }
    denied
}

/// linux/fcntl.h `struct file_handle` with room for the file system's part.
#[repr(C)]
#[derive(Default)]
struct Handle {
    bytes: u32,
    kind: i32,
    data: [u8; 32],
}

/// The root inode of the file system of `/usr`: how containers were escaped in 2014.
fn open_by_handle() -> io::Result<()> {
    let usr = File::open("/usr")?;
    let mut handle = Handle { bytes: 8, kind: 1, ..Handle::default() };
    handle.data[0] = 2;
    let mount = usr.as_raw_fd() as usize;
    call(libc::SYS_open_by_handle_at, [mount, address(&handle), 0, 0, 0, 0]).map(drop)
}

fn name_to_handle() -> io::Result<()> {
    let (handle, mount, path) = (Handle { bytes: 32, ..Handle::default() }, 0_i32, c"/usr");
    let arguments = [libc::AT_FDCWD as usize, path.as_ptr().addr(), address(&handle), address(&mount), 0, 0];
    call(libc::SYS_name_to_handle_at, arguments).map(drop)
}

fn swap(number: libc::c_long) -> io::Result<()> {
    let path = CString::new("/usr/hostile-swap").map_err(io::Error::other)?;
    match call(number, [path.as_ptr().addr(), 0, 0, 0, 0, 0]) {
        // It would have been done, had there been such a file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map(drop),
    }
}

/// Whether a program that belongs to root and says so would run as root.
fn set_user_id() -> io::Result<()> {
    let confined = nix::sys::prctl::get_no_new_privs().map_err(io::Error::from)?;
    if confined { Err(io::Error::from_raw_os_error(libc::EPERM)) } else { Ok(()) }
}
