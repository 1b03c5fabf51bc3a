//! Background operations: what `202 Accepted` stands for.
//!
//! ```text
//! Registry::start ─▶ Running ─▶ Success | Failure | Cancelled ─ (5 s) ─▶ forgotten
//! ```
//! Only so many are admitted ([`Load`]); what is beyond that is told to come again. An operation owns the task that does its work; the task ends the operation whatever happens, so none is ever left
//! running without work behind it. Operations live in memory: what must survive a crash is in the journal.

mod admission;
mod api;
mod registry;

pub(crate) use admission::Load;
pub(crate) use api::routes;
pub(crate) use registry::{Class, Handle, Registry, Spec, Websockets};
