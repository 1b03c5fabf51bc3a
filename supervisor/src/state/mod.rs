//! The database: one SQLite file, one writer, numbered migrations, and the journal of plans.
//!
//! Nouns keep what they know in memory and write it through [`Database::write`]; their SQL is in their own `store.rs`.
//! Every write is one deterministic transaction: times and ids are passed in, never made in SQL, so that the same
//! transactions could be replicated. Nothing above this module may know that SQLite is below it.

mod database;
mod journal;
mod migrations;

pub(crate) use database::{Database, StateError, json_column, json_text, parsed_column};
pub(crate) use journal::{Entry, Journal};
