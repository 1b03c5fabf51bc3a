//! The configuration keys a driver accepts: Hull validates, documents and completes from these, and knows no key itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Configuration as users write it.
pub type ConfigMap = BTreeMap<String, String>;

/// One key, or a family of keys when the name ends in `.*`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigKey {
    /// `ipv4.address`; `user.*` is any key below `user.`.
    pub name: String,
    pub kind: ValueKind,
    /// What holds when the key is not set; empty if nothing does.
    pub default: String,
    /// One sentence for the reference.
    pub doc: String,
    /// Whether a change takes effect without a restart of the object.
    pub live: bool,
}

impl ConfigKey {
    pub fn new(name: &str, kind: ValueKind, default: &str, doc: &str) -> Self {
        Self { name: name.into(), kind, default: default.into(), doc: doc.into(), live: true }
    }

    /// Whether `key` is this key or of this family.
    pub fn covers(&self, key: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(prefix) => key.len() > prefix.len() && key.starts_with(prefix),
            None => self.name == key,
        }
    }
}

/// What a value must look like. Hull checks these before the driver sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValueKind {
    Text,
    /// `true`, `false`, and LXD's other spellings.
    Boolean,
    Integer,
    /// Bytes with an optional unit, as `10GiB`.
    Size,
    /// One of these words.
    Choice(Vec<String>),
    /// An address with its prefix length, as `10.0.0.1/24`, or one of these words.
    Cidr(Vec<String>),
    /// A path on the host.
    Path,
    /// What a regular expression matches as a whole, line breaks included.
    Matching {
        pattern: String,
        otherwise: String,
    },
}

impl ValueKind {
    /// `otherwise` says what to write instead of a value that does not match.
    pub fn matching(pattern: &str, otherwise: &str) -> Self {
        Self::Matching { pattern: pattern.into(), otherwise: otherwise.into() }
    }
}
