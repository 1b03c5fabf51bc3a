//! The one writer: a thread that owns the connection and commits what is waiting together (one fsync for all of it).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};

use rusqlite::types::{FromSqlError, ValueRef};
use rusqlite::{Connection, ErrorCode, Row, Transaction};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::migrations::{self, MigrationError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error("cannot open the database `{}`", path.display())]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error(transparent)]
    Migrate(#[from] MigrationError),
    #[error("cannot write to the database")]
    Write(#[from] rusqlite::Error),
    #[error("the disk that holds `{}` is full: nothing can be changed until there is space again", path.display())]
    Full { path: Arc<Path>, source: rusqlite::Error },
    #[error("the disk that holds `{}` fails: nothing can be changed until it works again", path.display())]
    Disk { path: Arc<Path>, source: rusqlite::Error },
    #[error("the database writer has ended")]
    Ended,
}

impl StateError {
    /// Whose fault it is: the disk's, or the statement's.
    fn of(source: rusqlite::Error, path: &Arc<Path>) -> Self {
        let path = path.clone();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path, source },
            Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                Self::Disk { path, source }
            }
            _ => Self::Write(source),
        }
    }
}

type Job = Box<dyn FnOnce(&Transaction) -> Box<dyn FnOnce(Option<&rusqlite::Error>) + Send> + Send>;

/// A handle to the writer; clones share it.
pub(crate) struct Database {
    jobs: Mutex<mpsc::Sender<Job>>,
    path: Arc<Path>,
}

const SETTINGS: &str = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA cache_size=-512; SELECT count(*) FROM sqlite_schema;";

/// At most this many waiting writes share a commit.
const BATCH: usize = 128;

impl Database {
    /// Opens (or makes) the database and brings it to the current schema.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        let open_error = |source| StateError::Open { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(open_error)?;
        if let Err(error) = connection.execute_batch(SETTINGS) {
            // The index of the log is a file, for which a full disk has no room; alone one can have it in memory.
            tracing::warn!(%error, path = %path.display(), "opening the database without its shared index");
            connection = Connection::open(path).map_err(open_error)?;
            connection
                .execute_batch("PRAGMA locking_mode=EXCLUSIVE")
                .and_then(|()| connection.execute_batch(SETTINGS))
                .map_err(open_error)?;
        }
        migrations::run(&mut connection)?;
        let (sender, receiver) = mpsc::channel();
        std::thread::Builder::new()
            .name("database".into())
            .spawn(move || run(connection, &receiver))
            .map_err(|error| open_error(rusqlite::Error::ToSqlConversionFailure(error.into())))?;
        Ok(Self { jobs: Mutex::new(sender), path: path.into() })
    }

    /// Runs `work` in a transaction and returns when it is durable. An error rolls back this work only.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StateError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        self.enqueue(work, answer)?;
        result.await.map_err(|_| StateError::Ended)?
    }

    /// The same for the start of the daemon, before anything is asynchronous.
    pub(crate) fn write_blocking<T, F>(&self, work: F) -> Result<T, StateError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        self.enqueue(work, answer)?;
        result.blocking_recv().map_err(|_| StateError::Ended)?
    }

    fn enqueue<T, F>(&self, work: F, answer: oneshot::Sender<Result<T, StateError>>) -> Result<(), StateError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction) -> rusqlite::Result<T> + Send + 'static,
    {
        let path = self.path.clone();
        let job: Job = Box::new(move |transaction| {
            let done = in_savepoint(transaction, work);
            Box::new(move |commit_error| {
                let result = match commit_error {
                    Some(error) => Err(StateError::of(copy_of(error), &path)),
                    None => done.map_err(|error| StateError::of(error, &path)),
                };
                // The asker may have gone away: the write stands all the same.
                let _ = answer.send(result);
            })
        });
        let jobs = self.jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        jobs.send(job).map_err(|_| StateError::Ended)
    }
}

fn in_savepoint<T>(
    transaction: &Transaction,
    work: impl FnOnce(&Transaction) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    transaction.execute_batch("SAVEPOINT job")?;
    let result = work(transaction);
    let end = if result.is_ok() { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
    transaction.execute_batch(end)?;
    result
}

fn run(mut connection: Connection, jobs: &mpsc::Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let batch: Vec<Job> = std::iter::once(first).chain(jobs.try_iter().take(BATCH - 1)).collect();
        let mut answers = Vec::with_capacity(batch.len());
        let committed = connection.transaction().and_then(|transaction| {
            answers.extend(batch.into_iter().map(|job| job(&transaction)));
            transaction.commit()
        });
        if let Err(error) = &committed {
            tracing::error!(%error, "cannot commit to the database");
        }
        for answer in answers {
            answer(committed.as_ref().err());
        }
    }
}

/// SQLite's errors are not `Clone`; what every waiting writer needs of a failed commit is its code and text.
fn copy_of(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => rusqlite::Error::SqliteFailure(*code, text.clone()),
        other => rusqlite::Error::ToSqlConversionFailure(other.to_string().into()),
    }
}

/// A column that holds JSON.
pub(crate) fn json_column<T: DeserializeOwned>(row: &Row, index: usize) -> rusqlite::Result<T> {
    let conversion = |error: serde_json::Error| {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, error.into())
    };
    match row.get_ref(index)? {
        ValueRef::Text(text) | ValueRef::Blob(text) => serde_json::from_slice(text).map_err(conversion),
        _ => Err(FromSqlError::InvalidType.into_error(index)),
    }
}

/// What goes into such a column.
pub(crate) fn json_text<T: serde::Serialize + ?Sized>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// A text column that holds a name or another checked type.
pub(crate) fn parsed_column<T>(row: &Row, index: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: String = row.get(index)?;
    text.parse().map_err(|error: T::Err| {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, error.into())
    })
}

trait IntoError {
    fn into_error(self, index: usize) -> rusqlite::Error;
}

impl IntoError for FromSqlError {
    fn into_error(self, index: usize) -> rusqlite::Error {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, self.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_write_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("hull.db")).unwrap();
        let insert = |key: &'static str| {
            move |tx: &Transaction| {
                tx.execute("INSERT INTO server_config (key, value) VALUES (?1, 'x')", [key]).map(drop)
            }
        };
        let (first, again, other) =
            tokio::join!(database.write(insert("a")), database.write(insert("a")), database.write(insert("b")));
        assert!(first.is_ok() && other.is_ok());
        assert!(matches!(again, Err(StateError::Write(_))));
        let count: i64 = database
            .write(|tx| tx.query_row("SELECT count(*) FROM server_config", [], |row| row.get(0)))
            .await
            .unwrap();
        assert_eq!(count, 2);
    }
}
