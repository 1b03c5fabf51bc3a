//! All images and aliases in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hull_api::ImageAlias;
use hull_plugin::Fingerprint;

use super::files::{FilesError, ImageDirectory};
use super::flight::Flights;
use super::model::{Alias, AliasName, Image, Source};
use super::store;
use crate::api::ApiError;
use crate::state::{Database, StateError};

pub(crate) struct Images {
    known: RwLock<Known>,
    pub(super) directory: ImageDirectory,
    /// Fetching, unpacking and deleting the same thing happens one after the other.
    pub(super) flights: Flights,
}

#[derive(Default)]
struct Known {
    images: BTreeMap<Fingerprint, Arc<Image>>,
    aliases: BTreeMap<AliasName, Arc<Alias>>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Files(#[from] FilesError),
}

impl Images {
    /// Reads the records, makes `HULL_DIR/images` and removes files there that no record owns.
    pub(crate) fn load(hull_directory: &Path, database: &Database) -> Result<Self, LoadError> {
        let mut known = Known::default();
        for image in store::all(database)? {
            known.images.insert(image.fingerprint.clone(), Arc::new(image));
        }
        for alias in store::all_aliases(database)? {
            known.aliases.insert(alias.name.clone(), Arc::new(alias));
        }
        let directory = ImageDirectory::open(&hull_directory.join("images"))?;
        if let Err(error) = directory.sweep(|fingerprint| known.images.contains_key(fingerprint)) {
            // Rubbish is no reason not to start.
            tracing::warn!(error = crate::plugins::chain(&error), "cannot remove files that no image owns");
        }
        Ok(Self { known: RwLock::new(known), directory, flights: Flights::default() })
    }

    /// Every image, by fingerprint.
    pub(crate) fn all(&self) -> Vec<Arc<Image>> {
        self.read().images.values().cloned().collect()
    }

    pub(crate) fn find(&self, fingerprint: &Fingerprint) -> Option<Arc<Image>> {
        self.read().images.get(fingerprint).cloned()
    }

    /// By the beginning of its fingerprint, as clients write it.
    pub(crate) fn by_prefix(&self, prefix: &str) -> Result<Arc<Image>, ApiError> {
        let missing = || ApiError::not_found("Image not found");
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(missing());
        }
        let known = self.read();
        let mut matching = known.images.values().filter(|image| image.fingerprint.as_str().starts_with(prefix));
        match (matching.next(), matching.next()) {
            (Some(image), None) => Ok(image.clone()),
            (Some(_), Some(_)) => Err(ApiError::bad_request("Partial fingerprint matches more than one image")),
            (None, _) => Err(missing()),
        }
    }

    pub(super) fn by_source(&self, source: &Source, architecture: &str, kind: &str) -> Option<Arc<Image>> {
        let known = self.read();
        let same = |image: &&Arc<Image>| {
            image.source.as_ref() == Some(source) && image.architecture == architecture && image.kind == kind
        };
        known.images.values().find(same).cloned()
    }

    /// Every alias, by name.
    pub(super) fn aliases(&self) -> Vec<Arc<Alias>> {
        self.read().aliases.values().cloned().collect()
    }

    pub(super) fn alias(&self, name: &str) -> Result<Arc<Alias>, ApiError> {
        let name = AliasName::parse(name).ok();
        let found = name.and_then(|name| self.read().aliases.get(&name).cloned());
        found.ok_or_else(|| ApiError::not_found("Image alias not found"))
    }

    pub(super) fn aliases_of(&self, fingerprint: &Fingerprint) -> Vec<ImageAlias> {
        let known = self.read();
        let of_image = known.aliases.values().filter(|alias| alias.fingerprint == *fingerprint);
        of_image
            .map(|alias| ImageAlias { name: alias.name.as_str().into(), description: alias.description.clone() })
            .collect()
    }

    pub(super) fn publish(&self, image: Image) {
        self.write().images.insert(image.fingerprint.clone(), Arc::new(image));
    }

    /// The image and its aliases.
    pub(super) fn withdraw(&self, fingerprint: &Fingerprint) {
        let mut known = self.write();
        known.images.remove(fingerprint);
        known.aliases.retain(|_, alias| alias.fingerprint != *fingerprint);
    }

    pub(super) fn publish_alias(&self, alias: Alias) {
        self.write().aliases.insert(alias.name.clone(), Arc::new(alias));
    }

    pub(super) fn withdraw_alias(&self, name: &AliasName) {
        self.write().aliases.remove(name);
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}
