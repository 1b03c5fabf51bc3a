//! The SQL of profiles.

use rusqlite::{Transaction, params};

use super::model::{DEFAULT, Profile};
use crate::state::{Database, StateError, json_column, json_text, parsed_column};

/// All profiles; makes `default` if the database is new.
pub(super) fn all(database: &Database) -> Result<Vec<Profile>, StateError> {
    database.write_blocking(|tx| {
        let sql = "INSERT OR IGNORE INTO profiles (name, description, config, devices) VALUES (?1, ?2, '{}', '{}')";
        tx.execute(sql, params![DEFAULT, "Default profile"])?;
        let mut statement = tx.prepare("SELECT name, description, config, devices FROM profiles")?;
        let rows = statement.query_map([], |row| {
            Ok(Profile {
                name: parsed_column(row, 0)?,
                description: row.get(1)?,
                config: json_column(row, 2)?,
                devices: json_column(row, 3)?,
            })
        })?;
        rows.collect()
    })
}

/// Inserts or replaces.
pub(super) fn put(tx: &Transaction, profile: &Profile) -> rusqlite::Result<()> {
    let sql = "INSERT INTO profiles (name, description, config, devices) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (name) DO UPDATE SET description = excluded.description, config = excluded.config,
               devices = excluded.devices";
    let values = params![profile.name.as_str(), profile.description, json_text(&profile.config)?, json_text(&profile.devices)?];
    tx.execute(sql, values).map(drop)
}

pub(super) fn delete(tx: &Transaction, name: &str) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM profiles WHERE name = ?1", [name]).map(drop)
}
