//! Aliases: names that lead to images.

use http::HeaderMap;
use hull_api::ImageAliasesEntryPut;
use serde::Deserialize;

use super::model::{Alias, AliasName};
use super::store;
use crate::api::{ApiError, check_etag};
use crate::hull::Hull;

/// A PATCH: what is named is changed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Patch {
    description: Option<String>,
    target: Option<String>,
}

/// What a request makes of an alias.
pub(super) enum Change {
    Put(ImageAliasesEntryPut),
    Patch(Patch),
}

/// Makes an alias and returns its URL.
pub(super) async fn create(hull: &Hull, name: &str, target: &str, description: String) -> Result<String, ApiError> {
    if name.is_empty() || target.is_empty() {
        return Err(ApiError::bad_request("name and target are required"));
    }
    let name = AliasName::parse(name)?;
    if hull.images.alias(name.as_str()).is_ok() {
        return Err(ApiError::conflict(format!("Alias {:?} already exists", name.as_str())));
    }
    let image = hull.images.by_prefix(target)?;
    let alias = Alias { name, fingerprint: image.fingerprint.clone(), description };
    let url = save(hull, alias).await?;
    hull.events.lifecycle("image-alias-created", &url);
    Ok(url)
}

pub(super) async fn change(hull: &Hull, name: &str, headers: &HeaderMap, change: Change) -> Result<(), ApiError> {
    let old = hull.images.alias(name)?;
    check_etag(headers, &writable(&old))?;
    let put = match change {
        Change::Put(put) if put.target.is_empty() => return Err(ApiError::bad_request("The target field is required")),
        Change::Put(put) => put,
        Change::Patch(patch) => ImageAliasesEntryPut {
            description: patch.description.unwrap_or_else(|| old.description.clone()),
            target: patch.target.unwrap_or_else(|| old.fingerprint.to_string()),
        },
    };
    let image = hull.images.by_prefix(&put.target)?;
    let alias = Alias { name: old.name.clone(), fingerprint: image.fingerprint.clone(), description: put.description };
    let url = save(hull, alias).await?;
    hull.events.lifecycle("image-alias-updated", &url);
    Ok(())
}

/// Renames an alias and returns its new URL.
pub(super) async fn rename(hull: &Hull, name: &str, to: &str) -> Result<String, ApiError> {
    let old = hull.images.alias(name)?;
    let to = AliasName::parse(to)?;
    if hull.images.alias(to.as_str()).is_ok() {
        return Err(ApiError::conflict(format!("Alias {:?} already exists", to.as_str())));
    }
    let new = Alias { name: to, ..(*old).clone() };
    let (row, from) = (new.clone(), old.name.clone());
    hull.database
        .write(move |tx| {
            store::delete_alias(tx, &from)?;
            store::put_alias(tx, &row)
        })
        .await?;
    let url = new.name.url();
    hull.images.withdraw_alias(&old.name);
    hull.images.publish_alias(new);
    hull.events.lifecycle_with("image-alias-renamed", &url, serde_json::json!({"old_name": name}));
    Ok(url)
}

pub(super) async fn delete(hull: &Hull, name: &str) -> Result<(), ApiError> {
    let alias = hull.images.alias(name)?;
    let gone = alias.name.clone();
    hull.database.write(move |tx| store::delete_alias(tx, &gone)).await?;
    hull.images.withdraw_alias(&alias.name);
    hull.events.lifecycle("image-alias-deleted", &alias.name.url());
    Ok(())
}

pub(super) fn writable(alias: &Alias) -> ImageAliasesEntryPut {
    ImageAliasesEntryPut { description: alias.description.clone(), target: alias.fingerprint.to_string() }
}

async fn save(hull: &Hull, alias: Alias) -> Result<String, ApiError> {
    let row = alias.clone();
    hull.database.write(move |tx| store::put_alias(tx, &row)).await?;
    let url = alias.name.url();
    hull.images.publish_alias(alias);
    Ok(url)
}
