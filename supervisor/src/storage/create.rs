//! Making a pool: its directory (for drivers that live in one), then what the driver makes in it, then its record.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use hull_api::StoragePoolsPost;
use hull_plugin::{Code, OperationId};
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use super::model::{Pool, pool_name};
use super::validate::{self, SOURCE};
use super::{mount, store};
use crate::api::ApiError;
use crate::gates::Site;
use crate::hull::Hull;
use crate::look;
use crate::plans::{self, AfterCrash, Plan};
use crate::recovery::Noun;

/// Makes a pool and returns its URL.
pub(super) async fn create(hull: &Hull, post: StoragePoolsPost) -> Result<String, ApiError> {
    let name = pool_name(&post.name)?;
    if post.driver.is_empty() {
        return Err(ApiError::bad_request("No driver provided"));
    }
    hull.recovery.through(Noun::Storage).await;
    let _changing = hull.storage.changing(name.as_str()).await?;
    if hull.storage.find(name.as_str()).is_some() {
        return Err(ApiError::conflict("The storage pool already exists: The record already exists"));
    }
    let description = mount::describe(hull, &post.driver).await?;
    let mut config = post.config;
    config.retain(|_, value| !value.is_empty());
    validate::pool(&description, &config)?;
    let place = match config.get(SOURCE) {
        Some(source) => {
            validate::source_directory(source).await?;
            Place::Given
        }
        None => Place::Own,
    };
    let mut pool = Pool { name, driver: post.driver, description: post.description, config };
    let source = mount::source(hull, &pool);
    let _reserved = reserve(hull, &source, place).await?;
    pool.config.insert(SOURCE.into(), source.to_string_lossy().into_owned());
    let url = pool.url();
    plans::execute(CreatePool { pool, place }, hull, &OperationId::random()).await?;
    Ok(url)
}

/// A place where a pool is being made, until this is dropped.
struct Reserved<'a> {
    hull: &'a Hull,
    place: PathBuf,
}

/// Two pools in one directory would delete each other's volumes. In a directory of the pool's own the driver refuses what it
/// finds; so only the administrator's is compared with those of the others, which may hang.
async fn reserve<'a>(hull: &'a Hull, source: &Path, kind: Place) -> Result<Reserved<'a>, ApiError> {
    let canonical = async |path: &Path| {
        let found = look::at(path, Path::canonicalize).await;
        found.ok().and_then(Result::ok).unwrap_or_else(|| path.to_owned()) // gone, or it hangs: by its name
    };
    let place = canonical(source).await;
    let taken = |by: &str| ApiError::conflict(format!("Source path '{}' is used by {by}", source.display()));
    if !hull.storage.reserved.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone()) {
        return Err(taken("a pool that is being made"));
    }
    let reserved = Reserved { hull, place };
    if kind == Place::Own {
        return Ok(reserved);
    }
    for (pool, other) in hull.storage.sources(hull) {
        if canonical(&other).await == reserved.place {
            return Err(taken(&format!("pool \"{pool}\"")));
        }
    }
    Ok(reserved)
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.hull.storage.reserved.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.place);
    }
}

/// Whose directory a pool is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// The administrator's: Hull neither makes nor removes it.
    Given,
    /// Below `HULL_DIR`.
    Own,
}

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct CreatePool {
    pool: Pool,
    place: Place,
}

impl Plan for CreatePool {
    const KIND: &'static str = "create-pool";
    const STEPS: &'static [&'static str] = &["directory", "pool"];
    const AFTER_CRASH: AfterCrash = AfterCrash::Undo;

    fn sites(&self) -> Vec<Site> {
        vec![Site::Pool(self.pool.name.clone())]
    }

    fn objects(&self) -> Vec<String> {
        vec![self.pool.url()]
    }

    async fn run(&mut self, step: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        if step == "directory" {
            make_directory(hull, &self.pool, self.place)?;
            return mount::renew(hull, &self.pool).await;
        }
        let handle = hull.storage.handle(hull, &self.pool).await?;
        let source = self.pool.config.get(SOURCE).cloned();
        let mut config = handle.create_pool(operation, &self.pool.name, &self.pool.config).await?;
        config.extend(source.map(|source| (SOURCE.to_owned(), source)));
        self.pool.config = config;
        Ok(())
    }

    async fn undo(&mut self, step: &str, hull: &Hull, operation: &OperationId) -> Result<(), ApiError> {
        if step == "directory" {
            if hull.storage.find(self.pool.name.as_str()).is_none() {
                hull.plugins.end_pool(&self.pool.driver, &self.pool.name).await;
            }
            return remove_directory(hull, &self.pool, self.place);
        }
        if hull.storage.find(self.pool.name.as_str()).is_some() || !look::exists(&mount::source(hull, &self.pool)).await
        {
            return Ok(());
        }
        let deleted = hull.storage.handle(hull, &self.pool).await?.delete_pool(operation, &self.pool.name).await;
        match deleted {
            // Foreign content was refused, and is not ours to remove.
            Err(error) if matches!(error.code, Code::NotFound | Code::AlreadyExists) => Ok(()),
            other => Ok(other?),
        }
    }

    fn commit(&self, tx: &Transaction) -> rusqlite::Result<()> {
        store::put_pool(tx, &self.pool)
    }

    fn published(self, hull: &Hull) {
        let url = self.pool.url();
        hull.storage.publish(self.pool);
        hull.events.lifecycle("storage-pool-created", &url);
    }
}

fn make_directory(hull: &Hull, pool: &Pool, place: Place) -> Result<(), ApiError> {
    if place == Place::Given {
        return Ok(());
    }
    let path = mount::source(hull, pool);
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).and_then(|()| {
        let parent = path.parent().unwrap_or(Path::new("/"));
        std::fs::File::open(parent)?.sync_all() // the pool must not outlive a power failure without its directory
    });
    made.map_err(|error| ApiError::internal(format!("cannot make the directory `{}`: {error}", path.display())))
}

/// Removes a pool's own directory, which the driver has emptied.
pub(super) fn remove_directory(hull: &Hull, pool: &Pool, place: Place) -> Result<(), ApiError> {
    if place == Place::Given {
        return Ok(());
    }
    let path = mount::default_source(hull, &pool.name);
    mount::note_deleted(hull, &pool.name);
    match std::fs::remove_dir(&path) {
        // Not the driver's: it refused the place, or somebody else has put it there.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            tracing::warn!(directory = %path.display(), "left alone: it holds what is no pool's");
            Ok(())
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ApiError::internal(format!("cannot remove the directory `{}`: {error}", path.display())))
        }
        _ => Ok(()),
    }
}
