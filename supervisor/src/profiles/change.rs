//! Making, changing, renaming and deleting a profile: checks, one transaction, then memory, then the instances.

use std::sync::Arc;

use http::HeaderMap;
use hull_api::ProfilePut;

use super::model::{Profile, ProfileName, ProfilePatch};
use super::store;
use crate::api::{ApiError, check_etag};
use crate::hull::Hull;
use crate::instances::validate;
use crate::used_by;

/// What a request makes of a profile.
#[derive(Clone)]
pub(super) enum Change {
    Put(ProfilePut),
    Patch(ProfilePatch),
}

pub(super) async fn create(hull: &Hull, name: ProfileName, put: ProfilePut) -> Result<(), ApiError> {
    let taken = || match hull.profiles.find(name.as_str()) {
        Some(_) => {
            Err(ApiError::conflict(format!("Error inserting \"{name}\" into database: The profile already exists")))
        }
        None => Ok(()),
    };
    taken()?;
    // Asks drivers, which may hang: nobody else waits for that.
    let profile = checked(hull, name.clone(), put).await?;
    let _changing = hull.profiles.changing.lock().await;
    taken()?;
    save(hull, profile).await?;
    hull.events.lifecycle("profile-created", &name.url());
    Ok(())
}

pub(super) async fn update(hull: &Hull, name: &str, headers: &HeaderMap, change: Change) -> Result<(), ApiError> {
    let old = loop {
        let old = hull.profiles.get(name)?;
        check_etag(headers, &old.writable())?;
        let put = match change.clone() {
            Change::Put(put) => put,
            Change::Patch(patch) => patch.onto(old.writable()),
        };
        let profile = checked(hull, old.name.clone(), put).await?;
        let _changing = hull.profiles.changing.lock().await;
        if !hull.profiles.find(name).is_some_and(|now| Arc::ptr_eq(&now, &old)) {
            continue; // somebody has changed it meanwhile
        }
        if profile == *old {
            return Ok(());
        }
        validate::keeps_root_disks(hull, &profile)?;
        save(hull, profile).await?;
        break old;
    };
    hull.events.lifecycle("profile-updated", &old.name.url());
    hull.instances.profile_changed(hull, name).await
}

pub(super) async fn rename(hull: &Hull, name: &str, to: ProfileName) -> Result<(), ApiError> {
    let _changing = hull.profiles.changing.lock().await;
    let old = hull.profiles.get(name)?;
    if old.name.is_default() {
        return Err(ApiError::new(http::StatusCode::FORBIDDEN, "The \"default\" profile cannot be renamed"));
    }
    if hull.profiles.find(to.as_str()).is_some() {
        return Err(ApiError::conflict(format!("Name \"{to}\" already in use")));
    }
    // Instances name their profiles: renaming one in use would change all of them.
    in_use(hull, name)?;
    let renamed = Profile { name: to.clone(), ..(*old).clone() };
    let (row, from) = (renamed.clone(), name.to_owned());
    hull.database
        .write(move |tx| {
            store::delete(tx, &from)?;
            store::put(tx, &row)
        })
        .await?;
    hull.profiles.publish(renamed);
    hull.profiles.withdraw(&old.name);
    hull.events.lifecycle_with("profile-renamed", &to.url(), serde_json::json!({"old_name": name}));
    Ok(())
}

pub(super) async fn delete(hull: &Hull, name: &str) -> Result<(), ApiError> {
    let _changing = hull.profiles.changing.lock().await;
    let old = hull.profiles.get(name)?;
    if old.name.is_default() {
        return Err(ApiError::new(http::StatusCode::FORBIDDEN, "The \"default\" profile cannot be deleted"));
    }
    in_use(hull, name)?;
    let gone = name.to_owned();
    hull.database.write(move |tx| store::delete(tx, &gone)).await?;
    hull.profiles.withdraw(&old.name);
    hull.events.lifecycle("profile-deleted", &old.name.url());
    Ok(())
}

fn in_use(hull: &Hull, name: &str) -> Result<(), ApiError> {
    if used_by::profile(hull, name).is_empty() {
        return Ok(());
    }
    Err(ApiError::bad_request("Profile is currently in use"))
}

async fn checked(hull: &Hull, name: ProfileName, put: ProfilePut) -> Result<Profile, ApiError> {
    validate::config(hull, &put.config).await?;
    let profile = Profile::new(name, put);
    validate::devices(hull, &profile.devices).await?;
    Ok(profile)
}

async fn save(hull: &Hull, profile: Profile) -> Result<(), ApiError> {
    let row = profile.clone();
    hull.database.write(move |tx| store::put(tx, &row)).await?;
    hull.profiles.publish(profile);
    Ok(())
}
