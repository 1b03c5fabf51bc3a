//! The journal: which plans are under way, so that a restart can finish or undo them.

use std::sync::Arc;

use rusqlite::Transaction;

use super::{Database, StateError};

/// A plan that had not ended when hulld did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) operation: String,
    pub(crate) kind: String,
    /// The plan itself, as JSON.
    pub(crate) plan: String,
}

#[derive(Clone)]
pub(crate) struct Journal {
    database: Arc<Database>,
}

impl Journal {
    pub(crate) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// Durable before the plan's first effect.
    pub(crate) async fn begin(&self, entry: Entry) -> Result<(), StateError> {
        self.database
            .write(move |tx| {
                let sql = "INSERT INTO journal (operation, kind, plan) VALUES (?1, ?2, ?3)
                           ON CONFLICT (operation) DO UPDATE SET plan = excluded.plan";
                tx.execute(sql, [&entry.operation, &entry.kind, &entry.plan]).map(drop)
            })
            .await
    }

    /// The plan has ended; `result` is written in the same transaction.
    pub(crate) async fn end<F>(&self, operation: &str, result: F) -> Result<(), StateError>
    where
        F: FnOnce(&Transaction) -> rusqlite::Result<()> + Send + 'static,
    {
        let operation = operation.to_owned();
        self.database
            .write(move |tx| {
                result(tx)?;
                tx.execute("DELETE FROM journal WHERE operation = ?1", [&operation]).map(drop)
            })
            .await
    }

    /// What was under way, oldest first.
    pub(crate) async fn open_entries(&self) -> Result<Vec<Entry>, StateError> {
        self.database
            .write(|tx| {
                let mut statement = tx.prepare("SELECT operation, kind, plan FROM journal ORDER BY rowid")?;
                let rows = statement
                    .query_map([], |row| Ok(Entry { operation: row.get(0)?, kind: row.get(1)?, plan: row.get(2)? }))?;
                rows.collect()
            })
            .await
    }
}
