//! Comparing what Hull knows with what is there.

use std::collections::BTreeSet;

use hull_plugin::storage::Reconciled;
use hull_plugin::{Code, DriverError, VolumeName};

use crate::failure::refused;
use crate::pool::{Pool, names, open_directory};

/// One thing that nobody knows.
pub(crate) enum Unknown {
    Volume(VolumeName),
    /// The name of a directory in `making`.
    HalfMade(String),
}

const VOLUME: &str = "volume:";
/// The kind of volumes that are copies of what Hull has: nothing is lost with them.
const IMAGE: &str = "image";
const MAKING: &str = "making:";

impl Unknown {
    /// Reads what [`reconcile`] wrote.
    pub(crate) fn parse(item: &str) -> Result<Self, DriverError> {
        let parsed = match (item.strip_prefix(VOLUME), item.strip_prefix(MAKING)) {
            (Some(name), _) => VolumeName::new(name).ok().map(Self::Volume),
            (_, Some(name)) if is_plain(name) => Some(Self::HalfMade(name.into())),
            _ => None,
        };
        let message = || format!("`{}` is nothing that `reconcile` found", item.escape_debug());
        parsed.ok_or_else(|| DriverError::new(Code::InvalidConfig, message()))
    }
}

pub(crate) fn reconcile(pool: &Pool, known: &BTreeSet<VolumeName>) -> Result<Reconciled, DriverError> {
    let present = present(pool)?;
    let missing = known.difference(&present).map(VolumeName::to_string).collect();
    let (copies, owned): (Vec<_>, Vec<_>) = present.difference(known).partition(|volume| volume.parts().0 == IMAGE);
    for volume in owned {
        // Hull undoes what it made and did not write down, so this one is from a newer database than the one in use.
        tracing::warn!(%volume, "left alone: a whole volume of somebody's that Hull does not know");
    }
    let unknown = copies.into_iter().map(|volume| format!("{VOLUME}{volume}"));
    let abandoned = pool.abandoned()?.into_iter().map(|name| format!("{MAKING}{name}"));
    Ok(Reconciled { missing, unknown: unknown.chain(abandoned).collect() })
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

fn present(pool: &Pool) -> Result<BTreeSet<VolumeName>, DriverError> {
    let refused = |error| refused(error, "cannot read `volumes` in the pool");
    let mut present = BTreeSet::new();
    for kind in names(&pool.volumes).map_err(refused)? {
        let kind = kind.to_string_lossy();
        let directory = open_directory(&pool.volumes, &kind).map_err(refused)?;
        for name in names(&directory).map_err(refused)? {
            match VolumeName::new(format!("{kind}/{}", name.to_string_lossy())) {
                Ok(volume) => drop(present.insert(volume)),
                Err(error) => tracing::warn!(%error, "something in the pool is no volume"),
            }
        }
    }
    Ok(present)
}
