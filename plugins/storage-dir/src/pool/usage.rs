//! How full the pool's file system is.

use hull_plugin::DriverError;
use hull_plugin::storage::Usage;
use nix::sys::statvfs::fstatvfs;

use crate::failure::refused;

use super::Pool;

impl Pool {
    pub(crate) fn usage(&self) -> Result<Usage, DriverError> {
        let status = fstatvfs(&self.root).map_err(|error| refused(error, "cannot look at the pool's file system"))?;
        let unit = status.fragment_size();
        Ok(Usage {
            bytes_used: status.blocks().saturating_sub(status.blocks_free()) * unit,
            bytes_total: status.blocks() * unit,
            inodes_used: status.files().saturating_sub(status.files_free()),
            inodes_total: status.files(),
        })
    }
}
