//! `$HULL_DIR/unix.socket`, and the lock that keeps a second hulld from the same directory.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Group;
use tokio::net::UnixListener;

use crate::keeper::KeeperClient;

/// In the keeper's store.
const LISTENER: &str = "gateway/listener";
const LOCK: &str = "daemon/lock";
/// Who may use the API beside root.
const GROUP: &str = "hull";

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("another hulld uses `{}`: stop it, or set HULL_DIR to another directory", path.display())]
    Locked { path: PathBuf },
    #[error("cannot lock `{}`", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("cannot listen on `{}`", path.display())]
    Listen { path: PathBuf, source: io::Error },
    #[error("the keeper does not keep the listening socket")]
    Keeper(#[source] io::Error),
}

/// The API's socket: the one the keeper has, so that no connection is lost in a restart, or a new one.
pub async fn bind(hull_dir: &Path, keeper: &KeeperClient) -> Result<UnixListener, ListenError> {
    lock(hull_dir, keeper).await?;
    let path = hull_dir.join("unix.socket");
    let failed = |source| ListenError::Listen { path: path.clone(), source };
    if let Some(kept) = keeper.fetch(LISTENER).await.map_err(ListenError::Keeper)?
        && path.exists()
    {
        return from_descriptor(kept).map_err(failed);
    }
    // We hold the lock: whatever is there belongs to nobody.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    let group = Group::from_name(GROUP).ok().flatten().map_or(0, |group| group.gid.as_raw());
    chown(&path, Some(0), Some(group)).map_err(failed)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
    keeper.store(LISTENER, listener.as_fd()).await.map_err(ListenError::Keeper)?;
    Ok(listener)
}

fn from_descriptor(fd: OwnedFd) -> io::Result<UnixListener> {
    let listener = std::os::unix::net::UnixListener::from(fd);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// The lock lives as long as the keeper, which holds its descriptor.
async fn lock(hull_dir: &Path, keeper: &KeeperClient) -> Result<(), ListenError> {
    if keeper.fetch(LOCK).await.map_err(ListenError::Keeper)?.is_some() {
        return Ok(());
    }
    let path = hull_dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(|source| ListenError::Lock { path: path.clone(), source })?;
    let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        nix::errno::Errno::EWOULDBLOCK => ListenError::Locked { path: hull_dir.to_owned() },
        error => ListenError::Lock { path: path.clone(), source: error.into() },
    })?;
    keeper.store(LOCK, locked.as_fd()).await.map_err(ListenError::Keeper)?;
    // `Flock` unlocks when dropped, for the keeper's copy as well: leave that to the end of the process.
    std::mem::forget(locked);
    Ok(())
}
