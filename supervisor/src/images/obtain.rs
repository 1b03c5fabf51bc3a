//! The image that an instance is made from: one that is here, or one of a remote.

use std::sync::Arc;

use chrono::Utc;
use hull_api::InstanceSource;
use hull_plugin::storage::ImageFiles;
use hull_plugin::{FileFd, Fingerprint};

use super::import::Wishes;
use super::model::Image;
use super::pull::{self, Remote};
use super::registry::Images;
use super::store;
use crate::api::ApiError;
use crate::hull::Hull;
use crate::operations::Handle;

/// Bounds on what an image may unpack to: archive bombs end there.
const MAX_UNPACKED_BYTES: u64 = 256 << 30;
const MAX_UNPACKED_INODES: u64 = 16 << 20;
/// How old a stored last use may be before the database is told of a newer one: a launch need not wait for the disk.
const LAST_USED_GRAIN: i64 = 60;

impl Images {
    /// Finds the image that `source` names, fetching it if need be.
    pub(crate) async fn obtain(
        &self,
        hull: &Hull,
        source: &InstanceSource,
        operation: &Handle,
    ) -> Result<Arc<Image>, ApiError> {
        let image = match self.local(source)? {
            Some(image) => image,
            None => self.remote(hull, source, operation).await?,
        };
        self.used(hull, &image).await?;
        Ok(image)
    }

    /// The files of an image, opened anew, from their start.
    pub(crate) fn files(&self, image: &Image) -> Result<ImageFiles, ApiError> {
        let opened = self.directory.opened(&image.fingerprint, image.split)?;
        Ok(ImageFiles {
            metadata: FileFd::new(opened.metadata),
            rootfs: opened.rootfs.map(FileFd::new),
            max_bytes: MAX_UNPACKED_BYTES,
            max_inodes: MAX_UNPACKED_INODES,
        })
    }

    /// `None`: the source is a remote.
    pub(crate) fn local(&self, source: &InstanceSource) -> Result<Option<Arc<Image>>, ApiError> {
        let remote = !source.protocol.is_empty() || !source.server.is_empty();
        if !source.fingerprint.is_empty() {
            let known =
                Fingerprint::new(source.fingerprint.clone()).ok().and_then(|fingerprint| self.find(&fingerprint));
            return match known {
                None if remote => Ok(None),
                None => self.by_prefix(&source.fingerprint).map(Some),
                known => Ok(known),
            };
        }
        if remote {
            return Ok(None);
        }
        if !source.alias.is_empty() {
            let alias = self.alias(&source.alias)?;
            return self.find(&alias.fingerprint).map(Some).ok_or_else(|| ApiError::not_found("Image not found"));
        }
        if !source.properties.is_empty() {
            return self.by_properties(source).map(Some);
        }
        Err(ApiError::bad_request("Must specify one of alias, fingerprint or properties for init from image"))
    }

    /// The newest image with all of these properties.
    fn by_properties(&self, source: &InstanceSource) -> Result<Arc<Image>, ApiError> {
        let has_all =
            |image: &Arc<Image>| source.properties.iter().all(|(key, value)| image.properties.get(key) == Some(value));
        let newest = self.all().into_iter().filter(has_all).max_by_key(|image| image.created_at);
        newest.ok_or_else(|| ApiError::not_found("No matching image could be found"))
    }

    async fn remote(&self, hull: &Hull, source: &InstanceSource, operation: &Handle) -> Result<Arc<Image>, ApiError> {
        let alias = if source.alias.is_empty() { &source.fingerprint } else { &source.alias };
        // LXD's default for a server without a word about its protocol.
        let protocol = if source.protocol.is_empty() { "lxd" } else { &source.protocol };
        let remote = Remote::new(protocol, &source.server, alias, "container");
        let wishes = Wishes { cached: true, auto_update: true, ..Wishes::default() };
        pull::pull(hull, &remote, wishes, Some(operation)).await
    }

    async fn used(&self, hull: &Hull, image: &Arc<Image>) -> Result<(), ApiError> {
        let now = Utc::now().timestamp();
        if now - image.last_used_at < LAST_USED_GRAIN {
            return Ok(());
        }
        let fingerprint = image.fingerprint.clone();
        hull.database.write(move |tx| store::set_last_used(tx, &fingerprint, now)).await?;
        // What else has changed meanwhile stays.
        if let Some(current) = self.find(&image.fingerprint) {
            self.publish(Image { last_used_at: now, ..(*current).clone() });
        }
        Ok(())
    }
}
