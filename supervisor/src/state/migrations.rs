//! The schema, as a list of steps that only ever grows.

use rusqlite::Connection;

const STEPS: &[&str] = &[include_str!("sql/0001_first.sql")];

/// Brings the database to the newest schema, one transaction a step.
///
/// # Errors
/// The file was written by a newer Hull, or SQLite refuses.
pub(super) fn run(connection: &mut Connection) -> Result<(), MigrationError> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = STEPS.len();
    if version as usize > known {
        return Err(MigrationError::Newer { version, known });
    }
    for (number, step) in (1u32..).zip(STEPS).skip(version as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrationError {
    #[error(
        "the database has schema {version}, this hulld knows up to {known}; run the newer hulld, or restore a backup"
    )]
    Newer { version: u32, known: usize },
    #[error("cannot bring the database to the current schema")]
    Sqlite(#[from] rusqlite::Error),
}
