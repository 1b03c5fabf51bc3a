//! The journal: which plans are under way, so that a restart can finish or undo them.

use std::sync::{Arc, Mutex, PoisonError};

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
    /// Plans that are over without a result, which the database did not take yet.
    over: Arc<Mutex<Vec<String>>>,
}

impl Journal {
    pub(crate) fn new(database: Arc<Database>) -> Self {
        Self { database, over: Arc::default() }
    }

    /// Durable before the plan's first effect.
    pub(crate) async fn begin(&self, entry: Entry) -> Result<(), StateError> {
        let over = self.over().clone();
        let written = self.database.write({
            let over = over.clone();
            move |tx| {
                // No plan begins while the journal would have an older one undone that is undone: it may be about the same.
                for operation in &over {
                    tx.execute("DELETE FROM journal WHERE operation = ?1", [operation])?;
                }
                let sql = "INSERT INTO journal (operation, kind, plan) VALUES (?1, ?2, ?3)
                           ON CONFLICT (operation) DO UPDATE SET plan = excluded.plan";
                tx.execute(sql, [&entry.operation, &entry.kind, &entry.plan]).map(drop)
            }
        });
        written.await?;
        self.over().retain(|operation| !over.contains(operation));
        Ok(())
    }

    /// The plan is over and has left nothing. If that cannot be written now, it is before the next plan begins; a
    /// restart until then undoes it once more, which is harmless.
    pub(crate) async fn forget(&self, operation: &str) {
        if let Err(error) = self.end(operation, |_| Ok(())).await {
            tracing::warn!(operation, %error, "cannot take a plan that is over out of the journal yet");
            self.over().push(operation.to_owned());
        }
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

    fn over(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
