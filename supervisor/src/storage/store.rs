//! The SQL of pools and volumes.

use hull_plugin::{PoolName, VolumeName};
use rusqlite::{Transaction, params};

use super::model::{Pool, VolumeRow};
use crate::state::{Database, StateError, json_column, json_text, parsed_column};

pub(super) fn all_pools(database: &Database) -> Result<Vec<Pool>, StateError> {
    database.write_blocking(|tx| {
        let mut statement = tx.prepare("SELECT name, driver, description, config FROM storage_pools")?;
        let rows = statement.query_map([], |row| {
            Ok(Pool {
                name: parsed_column(row, 0)?,
                driver: row.get(1)?,
                description: row.get(2)?,
                config: json_column(row, 3)?,
            })
        })?;
        rows.collect()
    })
}

/// Inserts or replaces.
pub(super) fn put_pool(tx: &Transaction, pool: &Pool) -> rusqlite::Result<()> {
    let sql = "INSERT INTO storage_pools (name, driver, description, config) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (name) DO UPDATE SET description = excluded.description, config = excluded.config";
    tx.execute(sql, params![pool.name.as_str(), pool.driver, pool.description, json_text(&pool.config)?]).map(drop)
}

/// The pool and all its volumes.
pub(super) fn delete_pool(tx: &Transaction, pool: &PoolName) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM volumes WHERE pool = ?1", [pool.as_str()])?;
    tx.execute("DELETE FROM storage_pools WHERE name = ?1", [pool.as_str()]).map(drop)
}

pub(super) fn all_volumes(database: &Database) -> Result<Vec<VolumeRow>, StateError> {
    database.write_blocking(|tx| {
        let mut statement = tx.prepare("SELECT pool, name, content, description, config, created_at FROM volumes")?;
        let rows = statement.query_map([], |row| {
            Ok(VolumeRow {
                pool: parsed_column(row, 0)?,
                name: parsed_column(row, 1)?,
                content: row.get(2)?,
                description: row.get(3)?,
                config: json_column(row, 4)?,
                created_at: row.get(5)?,
            })
        })?;
        rows.collect()
    })
}

/// For the plan that made the volume, in the transaction that ends it. Then [`super::Storage::volume_added`].
pub(crate) fn insert_volume(tx: &Transaction, volume: &VolumeRow) -> rusqlite::Result<()> {
    let sql = "INSERT INTO volumes (pool, name, content, description, config, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (pool, name) DO UPDATE SET description = excluded.description, config = excluded.config";
    let config = json_text(&volume.config)?;
    let (pool, name) = (volume.pool.as_str(), volume.name.as_str());
    tx.prepare_cached(sql)?
        .execute(params![pool, name, volume.content, volume.description, config, volume.created_at])
        .map(drop)
}

/// For the plan that deleted the volume. Then [`super::Storage::volume_removed`].
pub(crate) fn delete_volume(tx: &Transaction, pool: &PoolName, name: &VolumeName) -> rusqlite::Result<()> {
    let sql = "DELETE FROM volumes WHERE pool = ?1 AND name = ?2";
    tx.prepare_cached(sql)?.execute([pool.as_str(), name.as_str()]).map(drop)
}

/// For the plan that renamed the volume. Then [`super::Storage::volume_renamed`].
pub(crate) fn rename_volume(tx: &Transaction, pool: &PoolName, from: &VolumeName, to: &VolumeName) -> rusqlite::Result<()> {
    let sql = "UPDATE volumes SET name = ?3 WHERE pool = ?1 AND name = ?2";
    tx.execute(sql, [pool.as_str(), from.as_str(), to.as_str()]).map(drop)
}
