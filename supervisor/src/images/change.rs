//! Changing what may be changed of an image.

use hull_api::{Config, ImagePut};
use http::HeaderMap;
use serde::Deserialize;

use super::model::Image;
use super::store;
use crate::api::{ApiError, check_etag};
use crate::hull::Hull;

/// A PATCH: what is named is changed, properties one by one. LXD changes no other fields by it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Patch {
    auto_update: Option<bool>,
    public: Option<bool>,
    properties: Option<Config>,
}

/// What a request makes of an image.
pub(super) enum Change {
    Put(ImagePut),
    Patch(Patch),
}

pub(super) async fn change(hull: &Hull, prefix: &str, headers: &HeaderMap, change: Change) -> Result<(), ApiError> {
    let found = hull.images.by_prefix(prefix)?;
    let _flight = hull.images.flights.board(format!("image/{}", found.fingerprint)).await;
    let old = hull.images.find(&found.fingerprint).ok_or_else(|| ApiError::not_found("Image not found"))?;
    check_etag(headers, &old.writable())?;
    let put = match change {
        Change::Put(put) => put,
        Change::Patch(patch) => patched(&old, patch),
    };
    if let Some(missing) = put.profiles.iter().find(|name| hull.profiles.find(name).is_none()) {
        return Err(ApiError::bad_request(format!("Profile '{missing}' doesn't exist")));
    }
    let new = Image {
        auto_update: put.auto_update,
        properties: put.properties,
        public: put.public,
        expires_at: put.expires_at.timestamp().max(0),
        profiles: if put.profiles.is_empty() { old.profiles.clone() } else { put.profiles },
        ..(*old).clone()
    };
    let row = new.clone();
    hull.database.write(move |tx| store::put(tx, &row)).await?;
    let url = new.url();
    hull.images.publish(new);
    hull.events.lifecycle("image-updated", &url);
    Ok(())
}

fn patched(old: &Image, patch: Patch) -> ImagePut {
    let mut put = old.writable();
    put.auto_update = patch.auto_update.unwrap_or(put.auto_update);
    put.public = patch.public.unwrap_or(put.public);
    put.properties.extend(patch.properties.unwrap_or_default());
    put
}
