//! The schema, as a list of steps that only ever grows.
//!
//! Before the first step on a database that has something in it, the file is copied: should this hulld turn out not to work,
//! the one before it, which does not know the new schema, finds its own again ([`restore`]).

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

const STEPS: &[&str] = &[include_str!("sql/0001_first.sql")];

/// Brings the database at `path` to the newest schema, one transaction a step.
///
/// # Errors
/// The file was written by a newer Hull, or SQLite refuses.
pub(super) fn run(connection: &mut Connection, path: &Path) -> Result<(), MigrationError> {
    run_steps(connection, path, STEPS)
}

fn run_steps(connection: &mut Connection, path: &Path, steps: &[&str]) -> Result<(), MigrationError> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = steps.len();
    if version as usize > known {
        return Err(MigrationError::Newer { version, known, backup: backup_of(path, known) });
    }
    if version > 0 && (version as usize) < known {
        back_up(connection, &backup_of(path, version as usize))?;
    }
    for (number, step) in (1u32..).zip(steps).skip(version as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

/// `hull.db.schema-3`: the database as it was before it got a newer schema than 3.
fn backup_of(path: &Path, version: usize) -> PathBuf {
    path.with_added_extension(format!("schema-{version}"))
}

fn back_up(connection: &Connection, backup: &Path) -> Result<(), MigrationError> {
    // One that is there is of an attempt that came to nothing; until it is complete it has another name.
    let unfinished = backup.with_added_extension("new");
    let failed = |source| MigrationError::BackUp { path: backup.to_owned(), source };
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    connection.execute("VACUUM INTO ?1", [unfinished.to_string_lossy()])?;
    std::fs::rename(&unfinished, backup).map_err(failed)
}

/// Puts the copy back that a newer hulld made before it changed the schema; `false` if the schema is not newer, or there is
/// no copy. Only for a newer hulld that never answered anybody: what it wrote is lost.
pub(super) fn restore(path: &Path) -> Result<bool, MigrationError> {
    restore_for(path, STEPS.len())
}

fn restore_for(path: &Path, known: usize) -> Result<bool, MigrationError> {
    let backup = backup_of(path, known);
    if !path.exists() || !backup.exists() {
        return Ok(false);
    }
    let version: u32 = Connection::open(path)?.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version as usize <= known {
        return Ok(false);
    }
    let failed = |source| MigrationError::BackUp { path: backup.clone(), source };
    for leftover in ["wal", "shm"].map(|kind| PathBuf::from(format!("{}-{kind}", path.display()))) {
        match std::fs::remove_file(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    std::fs::rename(&backup, path).map_err(failed)?;
    Ok(true)
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrationError {
    #[error(
        "the database has schema {version}, this hulld knows up to {known}; run the newer hulld, or put `{}` in its place (what was changed since is lost then)", backup.display()
    )]
    Newer { version: u32, known: usize, backup: PathBuf },
    #[error("cannot bring the database to the current schema")]
    Sqlite(#[from] rusqlite::Error),
    #[error("cannot make or use the copy of the database `{}`", path.display())]
    BackUp { path: PathBuf, source: io::Error },
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEWER: &[&str] =
        &["CREATE TABLE a (x); INSERT INTO a VALUES (1);", "ALTER TABLE a ADD COLUMN y; UPDATE a SET x = 2;"];

    fn value(path: &Path) -> i64 {
        Connection::open(path).unwrap().query_row("SELECT x FROM a", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_newer_schema_can_be_taken_back_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hull.db");
        let open = |steps| {
            let mut connection = Connection::open(&path).unwrap();
            connection.execute_batch("PRAGMA journal_mode=WAL").unwrap();
            run_steps(&mut connection, &path, steps)
        };
        open(&NEWER[..1]).unwrap();
        assert!(!restore_for(&path, 1).unwrap(), "nothing newer has been here");
        open(NEWER).unwrap();
        assert_eq!(value(&path), 2);
        let refused = open(&NEWER[..1]).unwrap_err().to_string();
        assert!(refused.contains("hull.db.schema-1"), "{refused}");

        assert!(restore_for(&path, 1).unwrap());
        open(&NEWER[..1]).unwrap();
        assert_eq!(value(&path), 1);
        assert!(!restore_for(&path, 1).unwrap());
    }

    #[test]
    fn a_failing_step_leaves_the_database_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hull.db");
        let mut connection = Connection::open(&path).unwrap();
        run_steps(&mut connection, &path, &NEWER[..1]).unwrap();
        assert!(run_steps(&mut connection, &path, &[NEWER[0], "UPDATE a SET x = 3; NONSENSE"]).is_err());
        run_steps(&mut connection, &path, &NEWER[..1]).unwrap();
        assert_eq!(value(&path), 1);
    }
}
