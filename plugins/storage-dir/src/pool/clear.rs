//! Removing what is no volume: half-made and deleted ones.

use hull_image_format::{Meter, remove_tree};
use hull_plugin::DriverError;
use nix::fcntl::{Flock, FlockArg};

use crate::failure::refused;

use super::Pool;
use super::layout::names;

impl Pool {
    /// Half-made volumes of processes that are no more.
    pub(crate) fn abandoned(&self) -> Result<Vec<String>, DriverError> {
        let names = names(&self.making).map_err(|error| refused(error, "cannot read `making` in the pool"))?;
        let names = names.into_iter().map(|name| name.to_string_lossy().into_owned());
        Ok(names.filter(|name| self.claim_abandoned(name).is_some()).collect())
    }

    /// Moves a half-made volume out of sight, unless somebody is at work on it.
    pub(crate) fn discard_half_made(&self, name: &str) -> Result<(), DriverError> {
        let Some(_claimed) = self.claim_abandoned(name) else { return Ok(()) };
        let discarded = self.discard(&self.making, name).map(drop);
        discarded.map_err(|error| refused(error, format!("cannot remove the half-made volume `{name}`")))
    }

    /// Moves half-made volumes out of the way, to be removed.
    pub(crate) fn discard_abandoned(&self) -> Result<(), DriverError> {
        self.abandoned()?.iter().try_for_each(|name| self.discard_half_made(name))
    }

    /// Removes all that was deleted. Nobody waits for it: a failure is logged, and tried again at the next chance.
    pub(crate) fn empty_deleting(&self, meter: &Meter) {
        // One process at a time: another may be replacing this one, or be replaced by it.
        let locked = self.deleting.try_clone().map(|directory| Flock::lock(directory, FlockArg::LockExclusive));
        let Ok(Ok(_locked)) = locked else { return tracing::warn!("cannot lock `deleting` in the pool") };
        let names = match names(&self.deleting) {
            Ok(names) => names,
            Err(error) => return tracing::warn!(%error, "cannot read `deleting` in the pool"),
        };
        for name in names {
            match remove_tree(&self.deleting, &name, meter) {
                Ok(()) => {}
                Err(hull_image_format::Error::Cancelled) => return,
                Err(error) => tracing::warn!(error = %failure_text(&error), "cannot remove a deleted volume"),
            }
        }
    }
}

fn failure_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
