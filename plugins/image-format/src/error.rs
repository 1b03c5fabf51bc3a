//! What can go wrong with an image or a tree, and whose fault it is.

use std::io;

use nix::errno::Errno;

/// A failed reading, unpacking or copying.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The content is damaged, hostile or larger than allowed.
    #[error("{0}")]
    Corrupt(String),
    /// The content is well formed but of a kind that is not handled.
    #[error("{0}")]
    Unsupported(String),
    /// The system refused.
    #[error("cannot {action} `{name}`")]
    System { action: &'static str, name: String, source: io::Error },
    /// [`crate::Meter::cancel`] was called.
    #[error("cancelled")]
    Cancelled,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn corrupt(reason: impl Into<String>) -> Self {
        Self::Corrupt(reason.into())
    }

    /// A failed read of an image: the disk's fault if the system said so, else the image's.
    pub(crate) fn reading(what: &str, error: io::Error) -> Self {
        match error.kind() {
            _ if error.get_ref().is_some_and(|inner| matches!(inner.downcast_ref(), Some(Self::Cancelled))) => {
                Self::Cancelled
            }
            _ if error.raw_os_error().is_some() => Self::System { action: "read", name: what.into(), source: error },
            io::ErrorKind::UnexpectedEof => Self::Corrupt(format!("{what} is truncated")),
            _ => Self::Corrupt(format!("{what} is damaged: {error}")),
        }
    }
}

/// Names what was done to what when a system call fails.
pub(crate) trait Doing<T> {
    fn doing(self, action: &'static str, name: &[u8]) -> Result<T>;
}

impl<T> Doing<T> for nix::Result<T> {
    fn doing(self, action: &'static str, name: &[u8]) -> Result<T> {
        self.map_err(|error| system(action, name, error))
    }
}

pub(crate) fn system(action: &'static str, name: &[u8], error: Errno) -> Error {
    Error::System { action, name: printable(name), source: error.into() }
}

/// A name from an image, fit for a message: no control characters, not endless.
pub(crate) fn printable(name: &[u8]) -> String {
    const LONGEST: usize = 200;
    let cut = &name[..name.len().min(LONGEST)];
    let mut text: String = String::from_utf8_lossy(cut).chars().flat_map(char::escape_debug).collect();
    if cut.len() < name.len() {
        text.push('…');
    }
    text
}
