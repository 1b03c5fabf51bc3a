//! The user's own settings: remotes, the default remote, aliases.

mod file;
mod remote;

pub(crate) use file::{RemoteEntry, Settings};
pub(crate) use remote::{Origin, Place};
