//! What a volume occupies.

use hull_image_format::{Meter, tree_usage};
use hull_plugin::storage::Usage;
use hull_plugin::{DriverError, VolumeName};

use crate::failure::failure;
use crate::pool::Pool;

pub(crate) fn usage(pool: &Pool, volume: &VolumeName, meter: &Meter) -> Result<Usage, DriverError> {
    let directory = pool.require(volume)?;
    let used =
        tree_usage(directory, meter).map_err(|error| failure(error, format!("cannot measure volume `{volume}`")))?;
    Ok(Usage { bytes_used: used.bytes, inodes_used: used.inodes, ..Usage::default() })
}
