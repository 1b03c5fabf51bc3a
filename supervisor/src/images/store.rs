//! The SQL of images and aliases.

use hull_plugin::Fingerprint;
use rusqlite::{Row, Transaction, params};

use super::model::{Alias, AliasName, Image};
use crate::state::{Database, StateError, json_column, json_text, parsed_column};

const COLUMNS: &str = "fingerprint, filename, size, architecture, type, public, auto_update, cached, split, created_at, \
                       expires_at, uploaded_at, last_used_at, properties, profiles, metadata, coalesce(source, 'null')";

pub(super) fn all(database: &Database) -> Result<Vec<Image>, StateError> {
    database.write_blocking(|tx| {
        let mut statement = tx.prepare(&format!("SELECT {COLUMNS} FROM images"))?;
        statement.query_map([], image)?.collect()
    })
}

pub(super) fn all_aliases(database: &Database) -> Result<Vec<Alias>, StateError> {
    database.write_blocking(|tx| {
        let mut statement = tx.prepare("SELECT name, fingerprint, description FROM image_aliases")?;
        let rows = statement.query_map([], |row| {
            let name: String = row.get(0)?;
            let name = AliasName::parse(&name).map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
            })?;
            Ok(Alias { name, fingerprint: parsed_column(row, 1)?, description: row.get(2)? })
        })?;
        rows.collect()
    })
}

/// Inserts or replaces.
pub(super) fn put(tx: &Transaction, image: &Image) -> rusqlite::Result<()> {
    let sql = "INSERT INTO images (fingerprint, filename, size, architecture, type, public, auto_update, cached, split,
               created_at, expires_at, uploaded_at, last_used_at, properties, profiles, metadata, source)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
               ON CONFLICT (fingerprint) DO UPDATE SET public = excluded.public, auto_update = excluded.auto_update,
               cached = excluded.cached, expires_at = excluded.expires_at, last_used_at = excluded.last_used_at,
               properties = excluded.properties, profiles = excluded.profiles, source = excluded.source";
    let values = params![
        image.fingerprint.as_str(),
        image.filename,
        i64::try_from(image.size).unwrap_or(i64::MAX),
        image.architecture,
        image.kind,
        image.public,
        image.auto_update,
        image.cached,
        image.split,
        image.created_at,
        image.expires_at,
        image.uploaded_at,
        image.last_used_at,
        json_text(&image.properties)?,
        json_text(&image.profiles)?,
        json_text(&image.metadata)?,
        image.source.as_ref().map(json_text).transpose()?,
    ];
    tx.execute(sql, values).map(drop)
}

/// The image and its aliases.
pub(super) fn delete(tx: &Transaction, fingerprint: &Fingerprint) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM images WHERE fingerprint = ?1", [fingerprint.as_str()]).map(drop)
}

pub(super) fn set_last_used(tx: &Transaction, fingerprint: &Fingerprint, at: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE images SET last_used_at = ?2 WHERE fingerprint = ?1";
    tx.prepare_cached(sql)?.execute(params![fingerprint.as_str(), at]).map(drop)
}

/// Inserts or replaces.
pub(super) fn put_alias(tx: &Transaction, alias: &Alias) -> rusqlite::Result<()> {
    let sql = "INSERT INTO image_aliases (name, fingerprint, description) VALUES (?1, ?2, ?3)
               ON CONFLICT (name) DO UPDATE SET fingerprint = excluded.fingerprint, description = excluded.description";
    tx.execute(sql, [alias.name.as_str(), alias.fingerprint.as_str(), &alias.description]).map(drop)
}

pub(super) fn delete_alias(tx: &Transaction, name: &AliasName) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM image_aliases WHERE name = ?1", [name.as_str()]).map(drop)
}

fn image(row: &Row) -> rusqlite::Result<Image> {
    let size: i64 = row.get(2)?;
    Ok(Image {
        fingerprint: parsed_column(row, 0)?,
        filename: row.get(1)?,
        size: u64::try_from(size).unwrap_or_default(),
        architecture: row.get(3)?,
        kind: row.get(4)?,
        public: row.get(5)?,
        auto_update: row.get(6)?,
        cached: row.get(7)?,
        split: row.get(8)?,
        created_at: row.get(9)?,
        expires_at: row.get(10)?,
        uploaded_at: row.get(11)?,
        last_used_at: row.get(12)?,
        properties: json_column(row, 13)?,
        profiles: json_column(row, 14)?,
        metadata: json_column(row, 15)?,
        source: json_column(row, 16)?,
    })
}
