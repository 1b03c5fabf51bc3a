//! Asking an image's source for a newer one: the aliases move to it, and the old one goes.

use hull_plugin::Fingerprint;
use serde_json::{Map, Value};

use super::import::Wishes;
use super::model::{Alias, Image};
use super::pull::{self, Remote};
use super::{delete, store};
use crate::api::ApiError;
use crate::hull::Hull;
use crate::operations::Handle;

pub(super) async fn refresh(hull: &Hull, fingerprint: &Fingerprint, operation: &Handle) -> Result<(), ApiError> {
    let image = hull.images.find(fingerprint).ok_or_else(|| ApiError::not_found("Image not found"))?;
    let refreshed = renewed(hull, &image, operation).await.map_err(|error| {
        error.context(format_args!("Failed to update image \"{fingerprint}\" in project \"default\""))
    })?;
    operation.update(Map::from_iter([("refreshed".to_owned(), Value::Bool(refreshed))]));
    hull.events.lifecycle("image-refreshed", &image.url());
    Ok(())
}

/// Whether there was a newer one.
async fn renewed(hull: &Hull, old: &Image, operation: &Handle) -> Result<bool, ApiError> {
    let source = old.source.as_ref().ok_or_else(|| ApiError::not_found("Image source not found"))?;
    let remote = Remote::new(&source.protocol, &source.server, &source.alias, &old.kind);
    let wishes = Wishes {
        public: old.public,
        auto_update: old.auto_update,
        cached: old.cached,
        profiles: old.profiles.clone(),
        ..Wishes::default()
    };
    let new = pull::pull(hull, &remote, wishes, Some(operation)).await?;
    if new.fingerprint == old.fingerprint {
        return Ok(false);
    }
    let of_old = hull.images.aliases().into_iter().filter(|alias| alias.fingerprint == old.fingerprint);
    let moved: Vec<Alias> = of_old.map(|alias| Alias { fingerprint: new.fingerprint.clone(), ..(*alias).clone() }).collect();
    let rows = moved.clone();
    hull.database.write(move |tx| rows.iter().try_for_each(|alias| store::put_alias(tx, alias))).await?;
    moved.into_iter().for_each(|alias| hull.images.publish_alias(alias));
    delete::delete(hull, &old.fingerprint).await?;
    Ok(true)
}
