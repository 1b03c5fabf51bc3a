//! One entry of a source list, whichever format it was written in.

use std::path::PathBuf;

/// Who signs a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// A keyring on this machine.
    File(PathBuf),
    /// An armoured key written into the entry itself.
    Inline(String),
}

/// Binary packages at some addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) uris: Vec<String>,
    pub(crate) suites: Vec<String>,
    pub(crate) components: Vec<String>,
    pub(crate) key: Option<Key>,
    /// The administrator vouches for it without a signature.
    pub(crate) trusted: bool,
    /// Empty: all.
    pub(crate) architectures: Vec<String>,
}

impl Source {
    /// Sets an option that both formats know, under the name the one-line format gives it.
    pub(crate) fn set(&mut self, option: &str, value: &str) {
        match option {
            "signed-by" if value.contains("BEGIN PGP") => self.key = Some(Key::Inline(value.into())),
            "signed-by" if value.starts_with('/') && !value.contains([',', ' ']) => {
                self.key = Some(Key::File(value.into()));
            }
            "trusted" => self.trusted = value == "yes",
            "arch" => self.architectures = value.split([',', ' ']).map(str::to_owned).collect(),
            _ => {}
        }
    }
}
