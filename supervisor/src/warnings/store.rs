//! The SQL of warnings. Times are milliseconds since the epoch.

use chrono::{DateTime, Utc};
use rusqlite::{Row, Transaction, params};

use super::model::{Status, Warning};
use crate::state::{Database, StateError};

const COLUMNS: &str = "uuid, type, entity, message, status, severity, count, first_seen_at, last_seen_at";

pub(super) fn all(database: &Database) -> Result<Vec<Warning>, StateError> {
    database.write_blocking(|tx| {
        let mut statement = tx.prepare(&format!("SELECT {COLUMNS} FROM warnings"))?;
        statement.query_map([], warning)?.collect()
    })
}

pub(super) fn put(tx: &Transaction, warning: &Warning) -> rusqlite::Result<()> {
    let sql = format!("INSERT OR REPLACE INTO warnings ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    let row = params![
        warning.uuid,
        warning.kind,
        warning.entity,
        warning.message,
        warning.status.word(),
        warning.severity,
        warning.count,
        warning.first_seen.timestamp_millis(),
        warning.last_seen.timestamp_millis(),
    ];
    tx.execute(&sql, row).map(drop)
}

pub(super) fn delete(tx: &Transaction, uuid: &str) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM warnings WHERE uuid = ?1", [uuid]).map(drop)
}

fn warning(row: &Row) -> rusqlite::Result<Warning> {
    let time = |index: usize| -> rusqlite::Result<DateTime<Utc>> {
        Ok(DateTime::from_timestamp_millis(row.get(index)?).unwrap_or(DateTime::UNIX_EPOCH))
    };
    Ok(Warning {
        uuid: row.get(0)?,
        kind: row.get(1)?,
        entity: row.get(2)?,
        message: row.get(3)?,
        status: Status::of(&row.get::<_, String>(4)?),
        severity: row.get(5)?,
        count: row.get(6)?,
        first_seen: time(7)?,
        last_seen: time(8)?,
    })
}
