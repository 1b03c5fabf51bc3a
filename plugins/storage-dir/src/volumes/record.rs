//! `volume.json`: how a volume came to be, so that a repeated call is told from a different one.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use hull_plugin::{DriverError, VolumeName};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};

use crate::failure::refused;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) format: u32,
    pub(crate) source: Source,
}

/// What a volume started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    Empty,
    Image,
    Volume(VolumeName),
}

/// What stands in a volume's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `rootfs`, `metadata.yaml`, `templates`
    Instance,
    /// `data`
    Plain,
}

pub(crate) const RECORD: &str = "volume.json";
const FORMAT: u32 = 1;
const LARGEST: u64 = 64 << 10;

impl Layout {
    pub(crate) fn of(volume: &VolumeName) -> Self {
        match volume.parts().0 {
            "container" | "image" => Self::Instance,
            _ => Self::Plain,
        }
    }

    /// The directory that an empty volume has, and a full one too.
    pub(crate) fn content(self) -> &'static str {
        match self {
            Self::Instance => "rootfs",
            Self::Plain => "data",
        }
    }

    /// Below the pool's directory: what a mount of the volume is made of.
    pub(crate) fn path(volume: &VolumeName) -> String {
        match Self::of(volume) {
            Self::Instance => format!("volumes/{volume}"),
            Self::Plain => format!("volumes/{volume}/data"),
        }
    }
}

impl Record {
    pub(crate) fn new(source: Source) -> Self {
        Self { format: FORMAT, source }
    }

    pub(crate) fn write(&self, directory: &OwnedFd) -> Result<(), DriverError> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(directory, RECORD, flags, Mode::S_IRUSR | Mode::S_IWUSR);
        let mut file = File::from(file.map_err(|error| refused(error, format!("cannot make `{RECORD}`")))?);
        let text = serde_json::json!(self).to_string();
        file.write_all(text.as_bytes()).map_err(|error| DriverError::system(&error, format!("cannot write `{RECORD}`")))
    }

    /// `None` if the volume has none that can be read: made by hand, or cut short by a power failure.
    pub(crate) fn read(directory: &OwnedFd) -> Result<Option<Self>, DriverError> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = match openat(directory, RECORD, flags, Mode::empty()) {
            Ok(opened) => File::from(opened),
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(refused(error, format!("cannot open `{RECORD}`"))),
        };
        let mut text = String::new();
        let read = file.take(LARGEST).read_to_string(&mut text);
        read.map_err(|error| DriverError::system(&error, format!("cannot read `{RECORD}`")))?;
        Ok(serde_json::from_str(&text).ok())
    }
}
