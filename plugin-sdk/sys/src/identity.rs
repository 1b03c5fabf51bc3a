//! Which file or directory a path leads to, asked without waiting for a file server.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

/// The same as long as it is the same directory of the same mounted file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    device: (u32, u32),
    inode: u64,
    /// When it was made, where the file system knows: inode numbers are used again.
    born: (i64, u32),
}

/// From what the kernel knows already: a hung network file system does not hold this up.
///
/// # Errors
/// `ENOENT`: there is nothing.
pub fn identity(path: &Path) -> nix::Result<Identity> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let mut status = MaybeUninit::<libc::statx>::zeroed();
    let flags = libc::AT_STATX_DONT_SYNC | libc::AT_NO_AUTOMOUNT;
    // SAFETY: `path` is a C string and `status` has room for the answer; both live through the call.
    let result = unsafe {
        libc::statx(libc::AT_FDCWD, path.as_ptr(), flags, libc::STATX_INO | libc::STATX_BTIME, status.as_mut_ptr())
    };
    Errno::result(result)?;
    // SAFETY: plain numbers, zeroed before and filled by the kernel.
    let status = unsafe { status.assume_init() };
    let born = (status.stx_btime.tv_sec, status.stx_btime.tv_nsec);
    Ok(Identity { device: (status.stx_dev_major, status.stx_dev_minor), inode: status.stx_ino, born })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_told_from_another_at_its_place() {
        let place = std::env::temp_dir().join(format!("hull-identity-{}", std::process::id()));
        std::fs::create_dir(&place).unwrap();
        let first = identity(&place).unwrap();
        assert_eq!(identity(&place), Ok(first));
        std::fs::rename(&place, place.with_extension("away")).unwrap();
        assert_eq!(identity(&place), Err(Errno::ENOENT));
        std::fs::create_dir(&place).unwrap();
        assert_ne!(identity(&place), Ok(first));
        std::fs::remove_dir(&place).unwrap();
        std::fs::remove_dir(place.with_extension("away")).unwrap();
    }
}
