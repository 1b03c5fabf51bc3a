//! Mounts and roots: showing oneself more, or something else, than the sandbox does.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use crate::Attempt;
use crate::sys::{address, call, try_call};

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("mount-tmpfs", |_| mount(c"tmpfs", c"tmpfs", 0)),
    ("mount-proc", |_| mount(c"proc", c"proc", 0)),
    ("mount-bind", |_| mount(c"/usr", c"", libc::MS_BIND)),
    ("mount-disk", |_| mount(c"/dev/vda", c"ext4", 0)),
    ("remount-usr-writable", |_| remount()),
    ("unmount-usr", |_| path_call(libc::SYS_umount2, c"/usr", 2)),
    ("pivot-root", |_| try_call(libc::SYS_pivot_root, &[c"/usr".as_ptr().addr(), c"/usr".as_ptr().addr()])),
    ("chroot", |_| path_call(libc::SYS_chroot, c"/usr", 0)),
    ("open-tree", |_| open_tree().map(drop)),
    ("move-mount", |_| {
        try_call(libc::SYS_move_mount, &[at(), c"/usr".as_ptr().addr(), at(), c"/usr/share".as_ptr().addr(), 0])
    }),
    ("open-filesystem", |_| path_call(libc::SYS_fsopen, c"tmpfs", 0)),
    ("pick-filesystem", |_| try_call(libc::SYS_fspick, &[at(), c"/usr".as_ptr().addr(), 0])),
    ("clear-read-only", |_| clear_read_only()),
    ("leave-by-descriptor", |_| leave()),
];

fn at() -> usize {
    libc::AT_FDCWD as usize
}

fn path_call(number: libc::c_long, path: &std::ffi::CStr, flags: usize) -> io::Result<()> {
    call(number, [path.as_ptr().addr(), flags, 0, 0, 0, 0]).map(drop)
}

fn mount(source: &std::ffi::CStr, kind: &std::ffi::CStr, flags: libc::c_ulong) -> io::Result<()> {
    let (source, target, kind) = (source.as_ptr().addr(), c"/usr/share".as_ptr().addr(), kind.as_ptr().addr());
    call(libc::SYS_mount, [source, target, kind, flags as usize, 0, 0]).map(drop)
}

fn remount() -> io::Result<()> {
    let usr = c"/usr".as_ptr().addr();
    call(libc::SYS_mount, [0, usr, 0, (libc::MS_REMOUNT | libc::MS_BIND) as usize, 0, 0]).map(drop)
}

fn open_tree() -> io::Result<usize> {
    call(libc::SYS_open_tree, [at(), c"/usr".as_ptr().addr(), 1, 0, 0, 0])
}

/// A copy of `/usr` that can be written, were it to be had.
fn clear_read_only() -> io::Result<()> {
    let attributes = [0_u64, 1, 0, 0]; // linux/mount.h: clear MOUNT_ATTR_RDONLY
    let arguments = [at(), c"/usr".as_ptr().addr(), 0, address(&attributes), 32, 0];
    call(libc::SYS_mount_setattr, arguments).map(drop)
}

/// The old way out of a chroot: an open directory above another root.
fn leave() -> io::Result<()> {
    let above = File::open("/")?;
    path_call(libc::SYS_chroot, c"/usr", 0)?;
    try_call(libc::SYS_fchdir, &[above.as_raw_fd() as usize])?;
    for _ in 0..64 {
        std::env::set_current_dir("..")?;
    }
    std::fs::metadata("etc/shadow").map(drop)
}
