//! What `[REMOTE:]NAME` points to.

use super::Settings;
use anyhow::{Result, bail};
use std::path::PathBuf;

/// A name and the remote it was said to be on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) remote: String,
    pub(crate) name: String,
}

/// How a remote is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A daemon on this machine.
    Socket(PathBuf),
    /// Images that the daemon fetches by a protocol of its own.
    Images { protocol: String, server: String },
}

impl Settings {
    /// Splits `[REMOTE:]NAME`; without a remote it is the default one.
    pub(crate) fn origin(&self, text: &str) -> Result<Origin> {
        let Some((remote, name)) = text.split_once(':') else {
            return Ok(Origin { remote: self.default_remote.clone(), name: text.to_owned() });
        };
        if remote.contains('/') {
            // `c1/2026-11-27T10:30` is a snapshot.
            return Ok(Origin { remote: self.default_remote.clone(), name: text.to_owned() });
        }
        if self.remotes.contains_key(remote) {
            return Ok(Origin { remote: remote.to_owned(), name: name.to_owned() });
        }
        bail!("The remote \"{remote}\" doesn't exist")
    }

    pub(crate) fn place(&self, remote: &str) -> Result<Place> {
        let Some(entry) = self.remotes.get(remote) else { bail!("The remote \"{remote}\" doesn't exist") };
        if !entry.protocol.is_empty() && entry.protocol != "lxd" {
            return Ok(Place::Images { protocol: entry.protocol.clone(), server: entry.addr.clone() });
        }
        match entry.addr.strip_prefix("unix:").map(|path| path.trim_start_matches("//")) {
            Some("") => Ok(Place::Socket(local_socket(|name| std::env::var_os(name).map(PathBuf::from)))),
            Some(path) => Ok(Place::Socket(format!("/{}", path.trim_start_matches('/')).into())),
            None => bail!(
                "cannot reach the remote `{remote}` at `{}`: this version speaks to daemons over Unix sockets only",
                entry.addr
            ),
        }
    }
}

/// The socket of this machine's daemon: the variables of Hull first, those of LXD next, Hull's standard place last.
fn local_socket(variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    let file = |folder: PathBuf| folder.join("unix.socket");
    variable("HULL_SOCKET")
        .or_else(|| variable("HULL_DIR").map(file))
        .or_else(|| variable("LXD_SOCKET"))
        .or_else(|| variable("LXD_DIR").map(file))
        .unwrap_or_else(|| PathBuf::from("/var/lib/hull/unix.socket"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_comes_from_the_environment_in_order() {
        let only = |name: &'static str| move |asked: &str| (asked == name).then(|| PathBuf::from("/x"));
        assert_eq!(local_socket(|_| None), PathBuf::from("/var/lib/hull/unix.socket"));
        assert_eq!(local_socket(only("HULL_SOCKET")), PathBuf::from("/x"));
        assert_eq!(local_socket(only("HULL_DIR")), PathBuf::from("/x/unix.socket"));
        assert_eq!(local_socket(only("LXD_DIR")), PathBuf::from("/x/unix.socket"));
    }

    #[test]
    fn names_with_and_without_remote() {
        let mut settings = Settings::default();
        settings.remotes.insert("debian".into(), crate::settings::RemoteEntry::default());
        assert_eq!(settings.origin("c1").unwrap(), Origin { remote: "local".into(), name: "c1".into() });
        let dated = Origin { remote: "local".into(), name: "c1/2026-11-27T10:30".into() };
        assert_eq!(settings.origin("c1/2026-11-27T10:30").unwrap(), dated);
        assert_eq!(settings.origin("debian:bookworm/amd64").unwrap().name, "bookworm/amd64");
        assert_eq!(settings.origin("foo:c1").unwrap_err().to_string(), "The remote \"foo\" doesn't exist");
    }
}
