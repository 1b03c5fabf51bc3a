//! Extended attributes by descriptor, or by directory descriptor and name without following a link (Linux 6.13).

use std::ffi::CStr;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{from_mut, from_ref};

use nix::errno::Errno;

const SYS_SETXATTRAT: libc::c_long = 463; // asm-generic/unistd.h __NR_setxattrat, the same number on every architecture but alpha
const SYS_GETXATTRAT: libc::c_long = 464; // asm-generic/unistd.h __NR_getxattrat
const SYS_LISTXATTRAT: libc::c_long = 465; // asm-generic/unistd.h __NR_listxattrat

/// `struct xattr_args` of linux/xattr.h.
#[repr(C, align(8))]
struct Arguments {
    value: u64,
    size: u32,
    flags: u32,
}

/// The names of all attributes of an open file, each ended by NUL, into `buffer`; returns how many bytes.
///
/// # Errors
/// `ERANGE`: the buffer is too small. `EOPNOTSUPP`: the file system keeps none.
pub fn list(fd: impl AsFd, buffer: &mut [u8]) -> nix::Result<usize> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`.
    let length = unsafe { libc::flistxattr(fd.as_fd().as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
    Errno::result(length).map(isize::cast_unsigned)
}

/// One attribute of an open file.
///
/// # Errors
/// `ERANGE`: the buffer is too small. `ENODATA`: there is none of this name.
pub fn value(fd: impl AsFd, name: &CStr, buffer: &mut [u8]) -> nix::Result<usize> {
    // SAFETY: `name` ends in NUL; the kernel writes at most `buffer.len()` bytes into `buffer`.
    let length =
        unsafe { libc::fgetxattr(fd.as_fd().as_raw_fd(), name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    Errno::result(length).map(isize::cast_unsigned)
}

/// Sets or replaces one attribute of an open file.
pub fn set(fd: impl AsFd, name: &CStr, value: &[u8]) -> nix::Result<()> {
    // SAFETY: `name` ends in NUL; the kernel only reads `value.len()` bytes of `value`.
    let result =
        unsafe { libc::fsetxattr(fd.as_fd().as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(result).map(drop)
}

/// [`list`] for `name` in `directory`, which may be a link or a device that must not be opened.
///
/// # Errors
/// `ENOSYS` before Linux 6.13.
pub fn list_at(directory: impl AsFd, name: &CStr, buffer: &mut [u8]) -> nix::Result<usize> {
    // SAFETY: `name` ends in NUL; the kernel writes at most `buffer.len()` bytes into `buffer`.
    let length = unsafe {
        libc::syscall(
            SYS_LISTXATTRAT,
            directory.as_fd().as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            buffer.as_mut_ptr(),
            buffer.len(),
        )
    };
    Errno::result(length).map(|length| length.cast_unsigned() as usize)
}

/// [`value`] for `name` in `directory`.
///
/// # Errors
/// `ENOSYS` before Linux 6.13.
pub fn value_at(directory: impl AsFd, name: &CStr, attribute: &CStr, buffer: &mut [u8]) -> nix::Result<usize> {
    let size = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
    let mut arguments = Arguments { value: buffer.as_mut_ptr().addr() as u64, size, flags: 0 };
    // SAFETY: both names end in NUL; the kernel writes at most `size` bytes into `buffer`.
    let length = unsafe {
        libc::syscall(
            SYS_GETXATTRAT,
            directory.as_fd().as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            attribute.as_ptr(),
            from_mut(&mut arguments),
            size_of::<Arguments>(),
        )
    };
    Errno::result(length).map(|length| length.cast_unsigned() as usize)
}

/// [`set`] for `name` in `directory`.
///
/// # Errors
/// `ENOSYS` before Linux 6.13.
pub fn set_at(directory: impl AsFd, name: &CStr, attribute: &CStr, value: &[u8]) -> nix::Result<()> {
    let size = u32::try_from(value.len()).map_err(|_| Errno::E2BIG)?;
    let arguments = Arguments { value: value.as_ptr().addr() as u64, size, flags: 0 };
    // SAFETY: both names end in NUL; the kernel only reads `size` bytes of `value`.
    let result = unsafe {
        libc::syscall(
            SYS_SETXATTRAT,
            directory.as_fd().as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            attribute.as_ptr(),
            from_ref(&arguments),
            size_of::<Arguments>(),
        )
    };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::symlink;

    #[test]
    fn attributes_of_a_file_by_descriptor_and_by_name_are_the_same() {
        let place = std::env::temp_dir().join(format!("hull-attribute-{}", std::process::id()));
        std::fs::create_dir(&place).unwrap();
        let file = File::create(place.join("file")).unwrap();
        symlink("nowhere", place.join("link")).unwrap();
        let directory = File::open(&place).unwrap();
        let mut buffer = [0; 256];
        set(&file, c"user.one", b"1").unwrap();
        assert_eq!(value(&file, c"user.one", &mut buffer).map(|length| buffer[..length].to_vec()), Ok(b"1".to_vec()));
        match set_at(&directory, c"file", c"user.two", b"22") {
            Err(Errno::ENOSYS) => {} // before Linux 6.13
            result => {
                result.unwrap();
                assert_eq!(value_at(&directory, c"file", c"user.two", &mut buffer), Ok(2));
                assert_eq!(list_at(&directory, c"file", &mut buffer), list(&file, &mut [0; 256]));
                assert_eq!(list_at(&directory, c"link", &mut buffer), Ok(0)); // never the file it points at
            }
        }
        std::fs::remove_dir_all(&place).unwrap();
    }
}
