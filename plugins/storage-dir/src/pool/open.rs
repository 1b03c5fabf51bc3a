//! Taking an existing pool into use.

use std::os::fd::OwnedFd;
use std::path::Path;

use hull_plugin::{Code, DriverError, PoolName};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use crate::failure::refused;

use super::Pool;
use super::create::marker;

impl Pool {
    /// The directory that is or will be a pool.
    pub(crate) fn root(path: &Path) -> Result<OwnedFd, DriverError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let opened = open(path, flags, Mode::empty());
        opened.map_err(|error| refused(error, "cannot open the pool's directory").hint("is its `source` mounted?"))
    }

    pub(crate) fn open(root: OwnedFd, pool: &PoolName) -> Result<Self, DriverError> {
        match marker(&root)? {
            Some(name) if name == pool.as_str() => Self::new(&name, root),
            Some(name) => Err(DriverError::new(
                Code::NotFound,
                format!("pool `{pool}` not found: its directory holds the pool `{name}`"),
            )),
            None => Err(DriverError::not_found(format!("pool `{pool}` not found: its directory holds none"))
                .hint("is its `source` mounted?")),
        }
    }
}
