//! Taking a volume, or its new name, away, whoever it belongs to. What is gone, by itself or with its pool, is gone.

use hull_plugin::{Code, OperationId, PoolName, VolumeName};

use super::store;
use crate::api::ApiError;
use crate::hull::Hull;

/// Has the driver remove a volume.
pub(crate) async fn remove_volume(
    hull: &Hull,
    pool: &PoolName,
    volume: &VolumeName,
    operation: &OperationId,
) -> Result<(), ApiError> {
    let Some(pool) = hull.storage.find(pool.as_str()) else { return Ok(()) };
    match hull.storage.handle(hull, &pool).await?.delete_volume(operation, volume).await {
        Err(error) if error.code == Code::NotFound => Ok(()),
        other => Ok(other?),
    }
}

/// Undoes the making of a volume. One in the records is a newer one, and whose it was is settled.
pub(crate) async fn unmake_volume(
    hull: &Hull,
    pool: &PoolName,
    volume: &VolumeName,
    operation: &OperationId,
) -> Result<(), ApiError> {
    match hull.storage.volume(pool, volume) {
        Some(_) => Ok(()),
        None => remove_volume(hull, pool, volume, operation).await,
    }
}

/// Undoes the renaming of a volume.
pub(crate) async fn rename_back(
    hull: &Hull,
    pool: &PoolName,
    renamed: &VolumeName,
    before: &VolumeName,
) -> Result<(), ApiError> {
    if hull.storage.volume(pool, renamed).is_some() {
        return Ok(()); // a newer one of this name
    }
    let Some(pool) = hull.storage.find(pool.as_str()) else { return Ok(()) };
    // A call of its own: with the forward call's id it would count as its repetition.
    let driver = hull.storage.handle(hull, &pool).await?;
    match driver.rename_volume(&OperationId::random(), renamed, before).await {
        // Both are there: the new name was taken, and nothing was renamed.
        Err(error) if matches!(error.code, Code::NotFound | Code::AlreadyExists) => Ok(()),
        other => Ok(other?),
    }
}

/// [`remove_volume`] with its record, at once: if what it is a part of fails, nobody takes it for there.
pub(crate) async fn remove_recorded(
    hull: &Hull,
    pool: &PoolName,
    volume: &VolumeName,
    operation: &OperationId,
) -> Result<(), ApiError> {
    remove_volume(hull, pool, volume, operation).await?;
    let (row, name) = (pool.clone(), volume.clone());
    hull.database.write(move |tx| store::delete_volume(tx, &row, &name)).await?;
    hull.storage.volume_removed(pool, volume);
    Ok(())
}
