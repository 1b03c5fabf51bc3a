//! Making a pool of an empty directory, and the reverse.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use hull_image_format::{Meter, remove_tree};
use hull_plugin::{Code, DriverError, PoolName};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};
use serde::{Deserialize, Serialize};

use crate::failure::{failure, refused};

use super::Pool;
use super::layout::{DELETING, MAKING, VOLUMES, names};

/// The file that says whose pool a directory is.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    format: u32,
    pool: String,
}

const MARKER: &str = "hull-pool.json";
const NEW_MARKER: &str = "hull-pool.json.new";
const FORMAT: u32 = 1;
const LARGEST_MARKER: u64 = 64 << 10;

impl Pool {
    /// Makes the directory a pool; one that is this pool already stays.
    pub(crate) fn create(root: OwnedFd, pool: &PoolName) -> Result<Self, DriverError> {
        let taken = |why: String| {
            let message = format!("cannot make pool `{pool}`: {why}");
            DriverError::new(Code::AlreadyExists, message).hint("choose an empty directory as `source`")
        };
        match marker(&root)? {
            Some(name) if name == pool.as_str() => return Self::new(&name, root),
            Some(name) => return Err(taken(format!("its directory holds the pool `{name}`"))),
            None => {}
        }
        let names = names(&root).map_err(|error| refused(error, "cannot read the pool's directory"))?;
        let ours = [c"lost+found".to_owned(), std::ffi::CString::new(NEW_MARKER).unwrap_or_default()];
        if let Some(name) = names.into_iter().find(|name| !ours.contains(name)) {
            return Err(taken(format!(
                "its directory is not empty: there is `{}`",
                name.to_string_lossy().escape_debug()
            )));
        }
        write_marker(&root, pool)
            .map_err(|error| refused(error, format!("cannot mark the directory of pool `{pool}`")))?;
        Self::new(pool.as_str(), root)
    }

    /// Removes the pool's content and mark; a directory that is not this pool is left alone.
    pub(crate) fn delete(root: &OwnedFd, pool: &PoolName) -> Result<(), DriverError> {
        if marker(root)?.as_deref() != Some(pool.as_str()) {
            return Ok(());
        }
        let meter = Meter::default();
        for name in [VOLUMES, MAKING, DELETING] {
            let name = std::ffi::CString::new(name).unwrap_or_default(); // a constant without NUL
            remove_tree(root, &name, &meter).map_err(|error| failure(error, format!("cannot delete pool `{pool}`")))?;
        }
        match unlinkat(root, MARKER, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(refused(error, format!("cannot unmark the directory of pool `{pool}`"))),
        }
    }
}

/// The name of the pool that the directory holds.
pub(super) fn marker(root: &OwnedFd) -> Result<Option<String>, DriverError> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = match openat(root, MARKER, flags, Mode::empty()) {
        Ok(opened) => File::from(opened),
        Err(Errno::ENOENT) => return Ok(None),
        Err(error) => return Err(refused(error, format!("cannot open `{MARKER}` in the pool"))),
    };
    let mut text = String::new();
    let read = file.take(LARGEST_MARKER).read_to_string(&mut text);
    read.map_err(|error| DriverError::system(&error, format!("cannot read `{MARKER}` in the pool")))?;
    let marker: Marker = serde_json::from_str(&text)
        .map_err(|error| DriverError::internal(format!("cannot read `{MARKER}` in the pool")).because(error))?;
    if marker.format > FORMAT {
        let message = format!("the pool has the newer format {}, this driver knows {FORMAT}", marker.format);
        return Err(DriverError::new(Code::Unsupported, message));
    }
    Ok(Some(marker.pool))
}

fn write_marker(root: &OwnedFd, pool: &PoolName) -> nix::Result<()> {
    fchmod(root, Mode::from_bits_truncate(0o700))?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut file = File::from(openat(root, NEW_MARKER, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
    let text = serde_json::json!(Marker { format: FORMAT, pool: pool.to_string() }).to_string();
    let number = |error: std::io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    file.write_all(text.as_bytes()).map_err(number)?;
    file.sync_all().map_err(number)?;
    renameat(root, NEW_MARKER, root, MARKER)?;
    fsync(root)
}
