//! The SQL of networks.

use hull_plugin::NetworkName;
use rusqlite::{Transaction, params};

use super::model::Network;
use crate::state::{Database, StateError, json_column, json_text, parsed_column};

pub(super) fn all(database: &Database) -> Result<Vec<Network>, StateError> {
    database.write_blocking(|tx| {
        let mut statement = tx.prepare("SELECT name, driver, description, config, coalesce(handle, 'null') FROM networks")?;
        let rows = statement.query_map([], |row| {
            Ok(Network {
                name: parsed_column(row, 0)?,
                driver: row.get(1)?,
                description: row.get(2)?,
                config: json_column(row, 3)?,
                handle: json_column(row, 4)?,
            })
        })?;
        rows.collect()
    })
}

/// Inserts or replaces.
pub(super) fn put(tx: &Transaction, network: &Network) -> rusqlite::Result<()> {
    let sql = "INSERT INTO networks (name, driver, description, config, handle) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (name) DO UPDATE SET description = excluded.description, config = excluded.config,
               handle = excluded.handle";
    let handle = network.handle.as_ref().map(json_text).transpose()?;
    let config = json_text(&network.config)?;
    tx.execute(sql, params![network.name.as_str(), network.driver, network.description, config, handle]).map(drop)
}

pub(super) fn delete(tx: &Transaction, name: &NetworkName) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM networks WHERE name = ?1", [name.as_str()]).map(drop)
}
