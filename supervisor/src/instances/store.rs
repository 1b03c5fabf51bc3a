//! The SQL of instances.

use rusqlite::{Row, Transaction, params};

use super::model::Record;
use super::registry::RunningRow;
use crate::state::{Database, StateError, json_column};

const COLUMNS: &str = "name, type, driver, architecture, description, ephemeral, stateful, config, devices, profiles, pool, created_at, last_used_at";

pub(super) fn all(database: &Database) -> Result<Vec<Record>, StateError> {
    database.write_blocking(|tx| {
        let mut statement = tx.prepare(&format!("SELECT {COLUMNS} FROM instances"))?;
        statement.query_map([], record)?.collect()
    })
}

pub(super) fn insert(tx: &Transaction, record: &Record) -> rusqlite::Result<()> {
    let sql =
        format!("INSERT INTO instances ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
    write(tx, &sql, record)
}

pub(super) fn update(tx: &Transaction, record: &Record) -> rusqlite::Result<()> {
    let sql = "UPDATE instances SET type = ?2, driver = ?3, architecture = ?4, description = ?5, ephemeral = ?6,
               stateful = ?7, config = ?8, devices = ?9, profiles = ?10, pool = ?11, created_at = ?12, last_used_at = ?13
               WHERE name = ?1";
    write(tx, sql, record)
}

pub(super) fn delete(tx: &Transaction, name: &str) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM running WHERE instance = ?1", [name])?;
    tx.execute("DELETE FROM instances WHERE name = ?1", [name]).map(drop)
}

/// Changes the name; the instance does not run.
pub(super) fn rename(tx: &Transaction, from: &str, to: &str) -> rusqlite::Result<()> {
    tx.execute("UPDATE instances SET name = ?2 WHERE name = ?1", [from, to]).map(drop)
}

pub(super) async fn all_running(database: &Database) -> Result<Vec<RunningRow>, StateError> {
    let read = database.write(|tx| {
        let mut statement = tx.prepare("SELECT instance, handle, process, nics, given FROM running")?;
        let rows = statement.query_map([], |row| {
            Ok(RunningRow {
                instance: row.get(0)?,
                handle: json_column(row, 1)?,
                process: json_column(row, 2)?,
                nics: json_column(row, 3)?,
                given: json_column(row, 4)?,
            })
        })?;
        rows.collect()
    });
    read.await
}

pub(super) fn set_running(tx: &Transaction, row: &RunningRow) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO running (instance, handle, process, nics, given) VALUES (?1, ?2, ?3, ?4, ?5)";
    write_running(tx, sql, row).map(drop)
}

/// One that has stopped meanwhile has no row any more.
/// `false`: it does not run.
pub(super) fn update_running(tx: &Transaction, row: &RunningRow) -> rusqlite::Result<bool> {
    let sql = "UPDATE running SET handle = ?2, process = ?3, nics = ?4, given = ?5 WHERE instance = ?1";
    Ok(write_running(tx, sql, row)? > 0)
}

fn write_running(tx: &Transaction, sql: &str, row: &RunningRow) -> rusqlite::Result<usize> {
    let RunningRow { instance, handle, process, nics, given } = row;
    tx.execute(sql, params![instance, json(handle)?, json(process)?, json(nics)?, json(given)?])
}

pub(super) fn set_stopped(tx: &Transaction, name: &str) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM running WHERE instance = ?1", [name]).map(drop)
}

fn write(tx: &Transaction, sql: &str, record: &Record) -> rusqlite::Result<()> {
    let mut statement = tx.prepare_cached(sql)?;
    let pool = record.pool.as_ref().map_or("", |pool| pool.as_str());
    statement
        .execute(params![
            record.name.as_str(),
            record.kind,
            record.driver,
            record.architecture,
            record.description,
            record.ephemeral,
            record.stateful,
            json(&record.config)?,
            json(&record.devices)?,
            json(&record.profiles)?,
            pool,
            record.created_at,
            record.last_used_at,
        ])
        .map(drop)
}

fn record(row: &Row) -> rusqlite::Result<Record> {
    let text_error = |index: usize, error: String| {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, error.into())
    };
    let name: String = row.get(0)?;
    let pool: String = row.get(10)?;
    let pool = (!pool.is_empty()).then(|| pool.parse()).transpose();
    Ok(Record {
        name: name.parse().map_err(|error: crate::api::ApiError| text_error(0, error.message))?,
        kind: row.get(1)?,
        driver: row.get(2)?,
        architecture: row.get(3)?,
        description: row.get(4)?,
        ephemeral: row.get(5)?,
        stateful: row.get(6)?,
        config: json_column(row, 7)?,
        devices: json_column(row, 8)?,
        profiles: json_column(row, 9)?,
        pool: pool.map_err(|error: hull_plugin::InvalidId| text_error(10, error.to_string()))?,
        created_at: row.get(11)?,
        last_used_at: row.get(12)?,
    })
}

fn json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}
