//! `$HULL_DIR/unix.socket`: made once, then kept over every restart of the supervisor.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, chown};

use crate::keeper::KeeperClient;

/// The group whose members may use the API.
const GROUP: &str = "hull";

const KEY: &str = "listener/unix.socket";

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `{}`", path.display())]
pub(crate) struct ListenError {
    path: PathBuf,
    source: io::Error,
}

/// The listening socket of this HULL_DIR: the kept one, or a new one in place of a stale file.
///
/// The caller holds the directory's lock: nobody else listens there.
pub(crate) async fn listen(hull_dir: &Path, keeper: &KeeperClient) -> Result<StdListener, ListenError> {
    let path = hull_dir.join("unix.socket");
    let result = match keeper.fetch(KEY).await {
        Ok(Some(kept)) => Ok(StdListener::from(kept)),
        Ok(None) => bind(&path, keeper).await,
        Err(error) => Err(error),
    };
    let listener = result.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    listener.map_err(|source| ListenError { path, source })
}

async fn bind(path: &Path, keeper: &KeeperClient) -> io::Result<StdListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = StdListener::bind(path)?;
    let group = Group::from_name(GROUP).ok().flatten().map_or(Gid::from_raw(0), |group| group.gid);
    chown(path, None, Some(group))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    keeper.store(KEY, listener.as_fd()).await?;
    Ok(listener)
}
