//! Names checked once, where they enter: no id can climb out of a directory or break a line of generated configuration.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The text is no valid name for the object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} `{text}`: {why}")]
pub struct InvalidId {
    pub what: &'static str,
    pub text: String,
    pub why: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident, $what:literal, $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// # Errors
            /// The text breaks the rule given with the type.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                match $check(&text) {
                    Ok(()) => Ok(Self(text)),
                    Err(why) => Err(InvalidId { what: $what, text, why }),
                }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    )*};
}

ids! {
    /// One instance, across all projects: `name` in the default project, `project_name` elsewhere. A file name.
    InstanceId, "instance id", file_name;
    /// One volume of a pool: kind and name, as `container/c1`, `image/FINGERPRINT`, `custom/data`. One slash.
    VolumeName, "volume name", volume_name;
    /// A storage pool. A file name.
    PoolName, "pool name", file_name;
    /// A network. A file name; a driver that makes an interface of it may ask for at most 15 characters.
    NetworkName, "network name", file_name;
    /// A device of an instance. Any printable text: it may be a path such as `/etc/apt/`, so never use it as a file name.
    DeviceName, "device name", printable;
    /// The SHA-256 of an image, 64 lower-case hexadecimal digits.
    Fingerprint, "fingerprint", fingerprint;
    /// A mutating call's identity: the same when Hull repeats the call. A UUID.
    OperationId, "operation id", file_name;
}

impl OperationId {
    /// A fresh one.
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }
}

impl VolumeName {
    /// What stands before the slash and after it.
    pub fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or(("", &self.0))
    }
}

fn printable(text: &str) -> Result<(), &'static str> {
    match text {
        "" => Err("it is empty"),
        _ if text.len() > 255 => Err("it is longer than 255 bytes"),
        _ if text.chars().any(char::is_control) => Err("it has a control character"),
        _ => Ok(()),
    }
}

fn file_name(text: &str) -> Result<(), &'static str> {
    printable(text)?;
    match text {
        "." | ".." => Err("it is a reserved name"),
        _ if text.starts_with('-') => Err("it starts with a hyphen"),
        _ if text.contains(['/', '\\', '"', '\'', '`', '$', ' ']) => {
            Err("only letters, digits and `-_.:+@,%` may be used")
        }
        _ => Ok(()),
    }
}

fn volume_name(text: &str) -> Result<(), &'static str> {
    let (kind, name) = text.split_once('/').ok_or("it must be KIND/NAME")?;
    file_name(kind)?;
    file_name(name)
}

fn fingerprint(text: &str) -> Result<(), &'static str> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() == 64 && text.bytes().all(hex) { Ok(()) } else { Err("it must be 64 lower-case hexadecimal digits") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_climb_or_break_lines_are_refused() {
        for bad in ["", ".", "..", "a/b", "-x", "a\nb", "a b", "a\0b"] {
            assert!(PoolName::new(bad).is_err(), "{bad:?}");
        }
        assert!(VolumeName::new("container/c1").is_ok());
        for bad in ["c1", "container/", "container/..", "a/b/c", "/c1"] {
            assert!(VolumeName::new(bad).is_err(), "{bad:?}");
        }
        assert!(DeviceName::new("/etc/apt/").is_ok());
        assert!(DeviceName::new("a\nb").is_err());
        assert!(Fingerprint::new("A".repeat(64)).is_err());
    }

    #[test]
    fn a_bad_name_does_not_come_in_by_the_wire_either() {
        assert!(serde_json::from_str::<PoolName>("\"../x\"").is_err());
    }
}
