//! Paths as the container sees them: resolved below a directory that they cannot leave.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{Mode, mkdirat};

use crate::failure::{Doing, Outcome, refused};

/// Enters namespaces of the process `init`.
pub(crate) fn enter(init: &OwnedFd, namespaces: CloneFlags) -> Outcome {
    setns(init, namespaces).doing(|| "enter the container's namespaces".into())
}

/// The root directory of this process.
pub(crate) fn root_directory() -> Outcome<OwnedFd> {
    openat2(AT_FDCWD, "/", OpenHow::new().flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC))
        .doing(|| "open the root directory".into())
}

/// Opens `path` with `root` as its root directory; new files get `mode`.
pub(crate) fn open_in(root: &OwnedFd, path: &Path, flags: OFlag, mode: u32) -> nix::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let extra = if flags.contains(OFlag::O_PATH) { OFlag::empty() } else { OFlag::O_NOCTTY };
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC | extra).resolve(resolve);
    let how = if flags.contains(OFlag::O_CREAT) { how.mode(Mode::from_bits_retain(mode)) } else { how };
    loop {
        match openat2(root.as_fd(), path, how) {
            Err(Errno::EAGAIN | Errno::EINTR) => {} // something in the tree was renamed meanwhile
            result => return result,
        }
    }
}

/// The directory a path's last component is in, and that component. `/`, `..` and the like are refused.
pub(crate) fn parent<'a>(root: &OwnedFd, path: &'a str) -> Outcome<(OwnedFd, &'a OsStr)> {
    let whole = Path::new(path);
    let name = whole.file_name().ok_or_else(|| refused(format!("use `{path}`: it names no file")))?;
    let directory = whole.parent().unwrap_or(Path::new("/"));
    let opened = open_in(root, directory, OFlag::O_PATH | OFlag::O_DIRECTORY, 0);
    Ok((opened.doing(|| format!("open `{}`", directory.display()))?, name))
}

/// Makes the directories that lead to `path`, and returns the last.
pub(crate) fn make_parents(root: &OwnedFd, path: &str) -> Outcome<OwnedFd> {
    let directory = Path::new(path).parent().unwrap_or(Path::new("/"));
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let mut at = PathBuf::from("/");
    let mut here = open_in(root, &at, flags, 0).doing(|| "open `/`".into())?;
    for component in directory.components() {
        let Component::Normal(name) = component else { continue };
        at.push(name);
        here = match open_in(root, &at, flags, 0) {
            Err(Errno::ENOENT) => mkdirat(&here, name, Mode::from_bits_retain(0o755))
                .and_then(|()| open_in(root, &at, flags, 0))
                .doing(|| format!("make `{}`", at.display()))?,
            opened => opened.doing(|| format!("open `{}`", at.display()))?,
        };
    }
    Ok(here)
}
