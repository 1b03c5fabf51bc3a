//! The SQL of the server's configuration.

use hull_plugin::ConfigMap;
use rusqlite::Transaction;

use crate::state::{Database, StateError};

pub(super) fn all(database: &Database) -> Result<ConfigMap, StateError> {
    database.write_blocking(|tx| {
        let mut statement = tx.prepare("SELECT key, value FROM server_config")?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    })
}

pub(super) fn replace(tx: &Transaction, config: &ConfigMap) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM server_config", [])?;
    let mut insert = tx.prepare("INSERT INTO server_config (key, value) VALUES (?1, ?2)")?;
    config.iter().try_for_each(|(key, value)| insert.execute([key, value]).map(drop))
}
