//! A pool's driver, and a volume as a descriptor.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use hull_plugin::{Description, MountFd, OperationId, PluginKind, PoolName, VolumeName};
use hull_sys::identity::identity;

use super::model::Pool;
use super::registry::Storage;
use super::validate::SOURCE;
use crate::api::ApiError;
use crate::hull::Hull;
use crate::look;
use crate::plugins::StorageHandle;
use crate::warnings::Kind;

impl Storage {
    /// The process that serves the pool. It opens the pool on its first call, and again after a restart.
    ///
    /// # Errors
    /// The driver is not installed, or the pool's directory is not there. That the driver cannot start, or finds its pool
    /// damaged, is told by its methods.
    pub(crate) async fn handle(&self, hull: &Hull, pool: &Pool) -> Result<StorageHandle, ApiError> {
        let source = source(hull, pool);
        let handle = hull.plugins.storage(&pool.name, &pool.driver, &source);
        let handle = handle.map_err(|error| unavailable(pool, error.into()))?;
        let found = match look::at(&source, identity).await {
            Ok(found) => found.map_err(|error| missing(&source, error)),
            Err(silent) => Err(ApiError::overloaded(silent.to_string())),
        };
        let found = found.map_err(|error| self.is_absent(hull, pool, unavailable(pool, error)))?;
        self.is_present(hull, pool);
        let before = self.places.lock().unwrap_or_else(PoisonError::into_inner).insert(pool.name.clone(), found);
        if before.is_some_and(|before| before != found) {
            tracing::info!(pool = %pool.name, source = %source.display(), "another directory is at the pool's place");
            handle.process.replace().await?;
        }
        Ok(handle)
    }

    /// Mounts a volume and returns it, or a directory in it, as a detached mount.
    pub(crate) async fn mount(
        &self,
        hull: &Hull,
        pool: &PoolName,
        volume: &VolumeName,
        subdirectory: Option<&str>,
        operation: &OperationId,
    ) -> Result<MountFd, ApiError> {
        let pool = self.pool(pool)?;
        let handle = self.handle(hull, &pool).await?;
        let directory = Path::new(subdirectory.unwrap_or_default());
        let mounted = handle.mounted_at(operation, volume, directory).await;
        mounted.map_err(|error| error.context(format!("cannot mount a volume of pool `{}`", pool.name)).into())
    }
}

impl Storage {
    fn is_absent(&self, hull: &Hull, pool: &Pool, error: ApiError) -> ApiError {
        self.absent.lock().unwrap_or_else(PoisonError::into_inner).insert(pool.name.clone());
        hull.warnings.raise(Kind::PoolUnavailable, &pool.url(), error.message.clone());
        error
    }

    fn is_present(&self, hull: &Hull, pool: &Pool) {
        let was_absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner).remove(&pool.name);
        let first = !self.places.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&pool.name);
        if was_absent || first {
            hull.warnings.resolve(Kind::PoolUnavailable, &pool.url());
        }
    }

    /// Where each pool is.
    pub(crate) fn sources(&self, hull: &Hull) -> Vec<(PoolName, PathBuf)> {
        self.pools().iter().map(|pool| (pool.name.clone(), source(hull, pool))).collect()
    }
}

/// A pool's directory is gone: a process that has it cannot serve a new one of this name.
pub(super) fn note_deleted(hull: &Hull, pool: &PoolName) {
    hull.storage.deleted.lock().unwrap_or_else(PoisonError::into_inner).insert(pool.clone());
}

/// Ends the process that served a deleted pool of this name, if there is one.
pub(super) async fn renew(hull: &Hull, pool: &Pool) -> Result<(), ApiError> {
    let stale = hull.storage.deleted.lock().unwrap_or_else(PoisonError::into_inner).remove(&pool.name);
    if stale { restart(hull, pool).await } else { Ok(()) }
}

/// Has a fresh process serve the pool; it opens it with the configuration of now.
pub(super) async fn restart(hull: &Hull, pool: &Pool) -> Result<(), ApiError> {
    let handle = hull.plugins.storage(&pool.name, &pool.driver, &source(hull, pool));
    Ok(handle.map_err(|error| unavailable(pool, error.into()))?.process.replace().await?)
}

/// What a driver is and can do, before it has a pool.
pub(super) async fn describe(hull: &Hull, driver: &str) -> Result<Arc<Description>, ApiError> {
    let known = hull.plugins.descriptions(PluginKind::Storage).await;
    known.into_iter().find(|one| one.driver == driver).ok_or_else(|| ApiError::bad_request("Unknown driver"))
}

/// Where a pool is: what its configuration says, or its place below `HULL_DIR`.
pub(super) fn source(hull: &Hull, pool: &Pool) -> PathBuf {
    match pool.config.get(SOURCE).filter(|source| !source.is_empty()) {
        Some(source) => PathBuf::from(source),
        None => default_source(hull, &pool.name),
    }
}

pub(super) fn default_source(hull: &Hull, pool: &PoolName) -> PathBuf {
    hull.directory.join("storage-pools").join(pool.as_str())
}

/// Mounted later, or moved back, it is used again without further ado.
fn missing(source: &Path, error: nix::Error) -> ApiError {
    let message = format!("its directory `{}` is not there: {error} (hint: is it mounted?)", source.display());
    ApiError::new(http::StatusCode::SERVICE_UNAVAILABLE, message)
}

fn unavailable(pool: &Pool, error: ApiError) -> ApiError {
    error.context(format_args!("storage pool \"{}\" is not available", pool.name))
}
