//! Changing the configuration and description of a pool or a custom volume.

use http::HeaderMap;
use hull_api::{Config, StoragePoolPut, StorageVolumePut};
use hull_plugin::{OperationId, VolumeName};
use serde::Deserialize;

use super::model::{Pool, VolumeRow};
use super::validate::{self, SOURCE};
use super::{mount, store};
use crate::api::{ApiError, check_etag};
use crate::hull::Hull;
use crate::instances::validate::parse_size;

/// A PATCH: what is named is changed, key by key.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Patch {
    description: Option<String>,
    config: Option<Config>,
}

impl Patch {
    fn onto(self, description: &str, config: &Config) -> (String, Config) {
        let mut config = config.clone();
        config.extend(self.config.unwrap_or_default());
        (self.description.unwrap_or_else(|| description.to_owned()), config)
    }
}

/// What a request makes of a pool or volume.
pub(super) enum Change<T> {
    Put(T),
    Patch(Patch),
}

pub(super) async fn pool(
    hull: &Hull,
    name: &str,
    headers: &HeaderMap,
    change: Change<StoragePoolPut>,
) -> Result<(), ApiError> {
    let _changing = hull.storage.changing(name).await?;
    let old = hull.storage.by_text(name)?;
    check_etag(headers, &old.writable())?;
    let (description, mut config) = match change {
        Change::Put(put) => (put.description, put.config),
        Change::Patch(patch) => patch.onto(&old.description, &old.config),
    };
    config.retain(|_, value| !value.is_empty());
    let driver = mount::describe(hull, &old.driver).await?;
    validate::pool(&driver, &config)?;
    if config.get(SOURCE) != old.config.get(SOURCE) {
        return Err(ApiError::bad_request("Pool source cannot be changed when not in pending state"));
    }
    let fixed = |key: &String| driver.config.iter().any(|one| one.covers(key) && !one.live);
    if let Some(key) = changed(&old.config, &config).find(|key| fixed(key)) {
        return Err(ApiError::bad_request(format!("The {key:?} property cannot be changed once the pool exists")));
    }
    let pool = Pool { description, config, ..(*old).clone() };
    let row = pool.clone();
    hull.database.write(move |tx| store::put_pool(tx, &row)).await?;
    let url = pool.url();
    // A fresh process of the driver opens the pool with its new configuration.
    let reopen = pool.config != old.config;
    hull.storage.publish(pool);
    if reopen {
        mount::restart(hull, &old).await?;
    }
    hull.events.lifecycle("storage-pool-updated", &url);
    Ok(())
}

pub(super) async fn volume(
    hull: &Hull,
    pool: &Pool,
    name: &VolumeName,
    headers: &HeaderMap,
    change: Change<StorageVolumePut>,
) -> Result<(), ApiError> {
    let _changing = hull.storage.changing(pool.name.as_str()).await?;
    let old =
        hull.storage.volume(&pool.name, name).ok_or_else(|| ApiError::not_found("Storage pool volume not found"))?;
    check_etag(headers, &old.writable())?;
    let (description, mut config) = match change {
        Change::Put(put) if !put.restore.is_empty() => {
            return Err(ApiError::bad_request("Volumes have no snapshots to restore yet"));
        }
        Change::Put(put) => (put.description, put.config),
        Change::Patch(patch) => patch.onto(&old.description, &old.config),
    };
    config.retain(|_, value| !value.is_empty());
    let handle = hull.storage.handle(hull, pool).await?;
    validate::volume(&*handle.describe().await?, name.parts().1, &config)?;
    if config.get("size") != old.config.get("size") {
        let bytes = config.get("size").and_then(|size| parse_size(size)).filter(|bytes| *bytes > 0);
        handle.resize_volume(&OperationId::random(), name, bytes).await?;
    }
    let row = VolumeRow { description, config, ..(*old).clone() };
    let stored = row.clone();
    hull.database.write(move |tx| store::insert_volume(tx, &stored)).await?;
    hull.events.lifecycle("storage-volume-updated", &row.url());
    hull.storage.volume_added(row);
    Ok(())
}

fn changed<'a>(old: &'a Config, new: &'a Config) -> impl Iterator<Item = &'a String> {
    new.iter()
        .filter(|(key, value)| old.get(*key) != Some(value))
        .map(|(key, _)| key)
        .chain(old.keys().filter(|key| !new.contains_key(*key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_new_another_or_a_missing_value() {
        let config = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect::<Config>()
        };
        let old = config(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let new = config(&[("a", "1"), ("b", "x"), ("d", "4")]);
        assert_eq!(changed(&old, &new).collect::<Vec<_>>(), ["b", "d", "c"]);
    }

    #[test]
    fn a_patch_keeps_what_it_does_not_name() {
        let old = Config::from([("a".into(), "1".into())]);
        let patch: Patch = serde_json::from_str(r#"{"config": {"b": "2"}}"#).unwrap();
        let (description, config) = patch.onto("text", &old);
        assert_eq!((description.as_str(), config.len()), ("text", 2));
    }
}
