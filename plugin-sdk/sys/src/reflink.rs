//! Sharing a file's blocks with a copy of it (btrfs, xfs, bcachefs).

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

const FICLONE: libc::c_ulong = 0x4004_9409; // linux/fs.h _IOW(0x94, 9, int)

/// Makes `to` share all blocks of `from`.
///
/// # Errors
/// `EOPNOTSUPP`, `EXDEV`, `EINVAL`: this file system cannot; copy instead.
pub fn share_blocks(from: impl AsFd, to: impl AsFd) -> nix::Result<()> {
    // SAFETY: FICLONE takes a descriptor number, nothing in our memory.
    let result = unsafe { libc::ioctl(to.as_fd().as_raw_fd(), FICLONE, from.as_fd().as_raw_fd()) };
    Errno::result(result).map(drop)
}
