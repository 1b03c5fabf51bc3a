//! Reading, writing and deleting a container's files as its own root would.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use instance_container::order::{self, FileWork, Found, Place, Report, WriteKind};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, OFlag, SealFlag, fcntl, readlinkat};
use nix::sched::{CloneFlags, setns};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmod, fchmodat, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, symlinkat, unlinkat};

use crate::boot::become_root;
use crate::failure::{Doing, Outcome, refused};
use crate::path::{enter, open_in, parent, root_directory};

pub(crate) fn run(reply: &OwnedFd, place: Place, path: &str, work: FileWork, descriptors: Vec<OwnedFd>) -> Outcome {
    let root = root_of(place, descriptors)?;
    nix::sys::stat::umask(Mode::empty());
    let (report, file) = match work {
        FileWork::Read => read(&root, path)?,
        FileWork::Delete => (delete(&root, path)?, None),
        FileWork::Write { user: Some(u32::MAX), .. } | FileWork::Write { group: Some(u32::MAX), .. } => {
            return Err(refused(format!("write `{path}`: {} is nobody's number", u32::MAX)));
        }
        FileWork::Write { kind, user, group, mode } => write(&root, path, kind, &Owner { user, group, mode })?,
    };
    order::send(reply.as_fd(), &report, file.as_slice()).doing(|| "report".into())
}

/// Takes the container's view of ids and, if it runs, of paths.
fn root_of(place: Place, descriptors: Vec<OwnedFd>) -> Outcome<OwnedFd> {
    let mut descriptors = descriptors.into_iter();
    let mut next = || descriptors.next().ok_or_else(|| refused("work on a file: descriptors are missing"));
    match place {
        Place::Running => {
            enter(&next()?, CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
            become_root()?;
            root_directory()
        }
        Place::Stopped => {
            setns(next()?, CloneFlags::CLONE_NEWUSER).doing(|| "enter the volume's user namespace".into())?;
            become_root()?;
            next()
        }
    }
}

type Answer = (Report, Option<OwnedFd>);

fn read(root: &OwnedFd, path: &str) -> Outcome<Answer> {
    let what = || format!("read `{path}`");
    let whole = Path::new(path);
    let object = open_in(root, whole, OFlag::O_PATH | OFlag::O_NOFOLLOW, 0).doing(what)?;
    let status = fstat(&object).doing(what)?;
    let report =
        |found| Report::File { user: status.st_uid, group: status.st_gid, mode: status.st_mode & 0o7777, found };
    match kind(&status) {
        SFlag::S_IFLNK => {
            let target = readlinkat(&object, "").doing(what)?;
            Ok((report(Found::Link(target.to_string_lossy().into_owned())), None))
        }
        SFlag::S_IFDIR => Ok((report(Found::Directory), Some(names(root, whole).doing(what)?))),
        SFlag::S_IFREG => {
            // NONBLOCK: should it have become a pipe meanwhile, opening does not wait.
            let file = open_in(root, whole, OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK, 0).doing(what)?;
            let opened = fstat(&file).doing(what)?;
            if kind(&opened) != SFlag::S_IFREG {
                return Err(refused(format!("read `{path}`: it is being replaced")));
            }
            let size = u64::try_from(opened.st_size).unwrap_or(0);
            Ok((report(Found::File { size }), Some(file)))
        }
        _ => Err(refused(format!("read `{path}`: it is neither a file nor a directory nor a link"))),
    }
}

fn kind(status: &FileStat) -> SFlag {
    SFlag::from_bits_retain(status.st_mode) & SFlag::S_IFMT
}

/// The names in a directory: a JSON array in sealed memory, in order.
fn names(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let directory = open_in(root, path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW, 0)?;
    let mut names = Vec::new();
    for entry in nix::dir::Dir::from_fd(directory)?.iter() {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort_unstable();
    let text = serde_json::to_vec(&names).map_err(|_| Errno::EINVAL)?;
    let memory = memfd_create("directory", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let file = std::fs::File::from(memory);
    file.write_all_at(&text, 0).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

fn delete(root: &OwnedFd, path: &str) -> Outcome<Report> {
    let (directory, name) = parent(root, path)?;
    let result = match unlinkat(&directory, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::EISDIR) => unlinkat(&directory, name, UnlinkatFlags::RemoveDir),
        result => result,
    };
    result.doing(|| format!("delete `{path}`"))?;
    Ok(Report::Done)
}

/// What a directory may be used for if nothing is said: LXD's default.
const NEW_DIRECTORY: u32 = 0o750;

struct Owner {
    user: Option<u32>,
    group: Option<u32>,
    mode: Option<u32>,
}

fn write(root: &OwnedFd, path: &str, kind: WriteKind, owner: &Owner) -> Outcome<Answer> {
    let what = || format!("write `{path}`");
    match kind {
        WriteKind::Truncate => Ok((Report::Writable, Some(open_file(root, path, OFlag::empty(), owner)?))),
        WriteKind::Append => Ok((Report::Writable, Some(open_file(root, path, OFlag::O_APPEND, owner)?))),
        WriteKind::Directory => {
            let (directory, name) = parent(root, path)?;
            let new = match mkdirat(&directory, name, Mode::from_bits_retain(NEW_DIRECTORY)) {
                Ok(()) => true,
                Err(Errno::EEXIST) if is_directory(&directory, name) => false,
                Err(error) => return Err(error).doing(what),
            };
            let mode = owner.mode.or(new.then_some(NEW_DIRECTORY)).map(Mode::from_bits_retain);
            change_owner(&directory, name, new, owner).doing(what)?;
            mode.map_or(Ok(()), |mode| fchmodat(&directory, name, mode, FchmodatFlags::FollowSymlink)).doing(what)?;
            Ok((Report::Done, None))
        }
        WriteKind::Link(target) => {
            let (directory, name) = parent(root, path)?;
            if readlinkat(&directory, name).is_ok() {
                unlinkat(&directory, name, UnlinkatFlags::NoRemoveDir).doing(what)?;
            }
            symlinkat(target.as_str(), &directory, name).doing(what)?;
            change_owner(&directory, name, true, owner).doing(what)?;
            Ok((Report::Done, None))
        }
    }
}

fn is_directory(parent: &OwnedFd, name: &OsStr) -> bool {
    fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(|status| kind(&status) == SFlag::S_IFDIR)
}

/// `new` things without a given owner are root's.
fn change_owner(directory: &OwnedFd, name: &OsStr, new: bool, owner: &Owner) -> nix::Result<()> {
    let id = |given: Option<u32>| given.or(new.then_some(0));
    let (user, group) = (id(owner.user).map(Uid::from_raw), id(owner.group).map(Gid::from_raw));
    fchownat(directory, name, user, group, AtFlags::AT_SYMLINK_NOFOLLOW)
}

fn open_file(root: &OwnedFd, path: &str, flags: OFlag, owner: &Owner) -> Outcome<OwnedFd> {
    let what = || format!("write `{path}`");
    let whole = Path::new(path);
    let flags = flags | OFlag::O_WRONLY | OFlag::O_NONBLOCK;
    let (file, new) = match open_in(root, whole, flags | OFlag::O_CREAT | OFlag::O_EXCL, 0o600) {
        Err(Errno::EEXIST) => (open_in(root, whole, flags, 0).doing(what)?, false),
        opened => (opened.doing(what)?, true),
    };
    if kind(&fstat(&file).doing(what)?) != SFlag::S_IFREG {
        return Err(refused(format!("write `{path}`: it is not a regular file")));
    }
    if !flags.contains(OFlag::O_APPEND) {
        nix::unistd::ftruncate(&file, 0).doing(what)?;
    }
    let id = |given: Option<u32>| given.or(new.then_some(0));
    nix::unistd::fchown(&file, id(owner.user).map(Uid::from_raw), id(owner.group).map(Gid::from_raw)).doing(what)?;
    if let Some(mode) = owner.mode.or(new.then_some(0o644)) {
        fchmod(&file, Mode::from_bits_retain(mode)).doing(what)?;
    }
    Ok(file)
}
