//! What a descriptor is, asked without reading from it: a foreign pipe or FUSE file may never answer a read.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};

/// What kind of kernel object a descriptor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file that is not a sealed memfd.
    File,
    /// An anonymous file with all of its seals set.
    SealedMemory,
    Directory,
    Pipe,
    Socket,
    CharacterDevice,
    BlockDevice,
    /// A network namespace.
    NetworkNamespace,
    /// A user namespace.
    UserNamespace,
    /// Any other namespace.
    OtherNamespace,
    /// A process (pidfd).
    Process,
    Other,
}

const PIDFS_MAGIC: u64 = 0x5049_4446; // linux/magic.h PID_FS_MAGIC
const ANON_INODE_MAGIC: u64 = 0x0904_1934; // linux/magic.h ANON_INODE_FS_MAGIC: pidfds before Linux 6.9
const NSFS_MAGIC: u64 = 0x6e73_6673; // linux/magic.h NSFS_MAGIC
const NS_GET_PARENT: libc::c_ulong = 0xb702; // linux/nsfs.h _IO(0xb7, 0x2)
const NS_GET_NSTYPE: libc::c_ulong = 0xb703; // linux/nsfs.h _IO(0xb7, 0x3)

/// A copy with a number not below `first`, close-on-exec.
pub fn duplicate_from(fd: impl AsFd, first: i32) -> nix::Result<OwnedFd> {
    let copy = fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(first))?;
    // SAFETY: fcntl has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Asks the kernel what `fd` is. Never blocks on the object behind it.
pub fn kind(fd: impl AsFd) -> nix::Result<Kind> {
    let fd = fd.as_fd();
    match file_system_magic(fd)? {
        NSFS_MAGIC => return namespace_kind(fd),
        PIDFS_MAGIC => return Ok(Kind::Process),
        ANON_INODE_MAGIC => return Ok(if is_pidfd(fd) { Kind::Process } else { Kind::Other }),
        _ => {}
    }
    Ok(match mode(fd)? & libc::S_IFMT {
        libc::S_IFREG if is_sealed(fd) => Kind::SealedMemory,
        libc::S_IFREG => Kind::File,
        libc::S_IFDIR => Kind::Directory,
        libc::S_IFIFO => Kind::Pipe,
        libc::S_IFSOCK => Kind::Socket,
        libc::S_IFCHR => Kind::CharacterDevice,
        libc::S_IFBLK => Kind::BlockDevice,
        _ => Kind::Other,
    })
}

/// Whether the descriptor was opened `O_PATH`.
pub fn is_path_only(fd: impl AsFd) -> nix::Result<bool> {
    Ok(OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?).contains(OFlag::O_PATH))
}

/// The file mode, from the kernel's cache (no round trip to a network or FUSE file system).
pub fn mode(fd: impl AsFd) -> nix::Result<libc::mode_t> {
    let mut status = MaybeUninit::<libc::statx>::uninit();
    // SAFETY: an empty path with AT_EMPTY_PATH names the descriptor itself; `status` is large enough for the answer.
    let result = unsafe {
        libc::statx(
            fd.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC,
            libc::STATX_TYPE | libc::STATX_MODE,
            status.as_mut_ptr(),
        )
    };
    Errno::result(result)?;
    // SAFETY: statx succeeded, so it has filled the structure.
    Ok(libc::mode_t::from(unsafe { status.assume_init() }.stx_mode))
}

fn file_system_magic(fd: impl AsFd) -> nix::Result<u64> {
    let mut status = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `status` is large enough for the answer.
    Errno::result(unsafe { libc::fstatfs(fd.as_fd().as_raw_fd(), status.as_mut_ptr()) })?;
    // SAFETY: fstatfs succeeded, so it has filled the structure.
    Ok(unsafe { status.assume_init() }.f_type.cast_unsigned())
}

fn namespace_kind(fd: impl AsFd) -> nix::Result<Kind> {
    // SAFETY: NS_GET_NSTYPE takes no argument and returns the CLONE_NEW* constant.
    let kind = Errno::result(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), NS_GET_NSTYPE) })?;
    Ok(match kind {
        libc::CLONE_NEWNET => Kind::NetworkNamespace,
        libc::CLONE_NEWUSER => Kind::UserNamespace,
        _ => Kind::OtherNamespace,
    })
}

/// The user namespace above a user namespace.
///
/// # Errors
/// `EPERM`: it is outside of the caller's own.
pub fn parent_namespace(namespace: impl AsFd) -> nix::Result<OwnedFd> {
    // SAFETY: NS_GET_PARENT takes no argument and returns a new descriptor.
    let fd = Errno::result(unsafe { libc::ioctl(namespace.as_fd().as_raw_fd(), NS_GET_PARENT) })?;
    // SAFETY: the kernel has just installed this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn is_pidfd(fd: impl AsFd) -> bool {
    // SAFETY: signal 0 delivers nothing; a descriptor that is no pidfd gives EBADF.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, fd.as_fd().as_raw_fd(), 0, std::ptr::null::<libc::siginfo_t>(), 0)
    };
    result == 0 || Errno::last() != Errno::EBADF
}

fn is_sealed(fd: impl AsFd) -> bool {
    let all = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(fd, FcntlArg::F_GET_SEALS).is_ok_and(|seals| SealFlag::from_bits_retain(seals).contains(all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{open, openat};
    use nix::sys::stat::Mode;
    use std::fs::File;

    #[test]
    fn tells_kernel_objects_apart() {
        let (a, _b) = crate::message::packet_pair().unwrap();
        assert_eq!(kind(&a).unwrap(), Kind::Socket);
        let (r, _w) = nix::unistd::pipe().unwrap();
        assert_eq!(kind(&r).unwrap(), Kind::Pipe);
        assert_eq!(kind(File::open("/proc/self/ns/net").unwrap()).unwrap(), Kind::NetworkNamespace);
        assert_eq!(kind(File::open("/proc/self/ns/user").unwrap()).unwrap(), Kind::UserNamespace);
        assert_eq!(kind(File::open("/dev/null").unwrap()).unwrap(), Kind::CharacterDevice);
        assert_eq!(kind(File::open("/etc/hostname").unwrap()).unwrap(), Kind::File);
        let root = open("/", OFlag::O_PATH, Mode::empty()).unwrap();
        assert_eq!(kind(&root).unwrap(), Kind::Directory);
        assert!(is_path_only(&root).unwrap());
        assert!(!is_path_only(openat(&root, "etc", OFlag::O_RDONLY, Mode::empty()).unwrap()).unwrap());
    }
}
