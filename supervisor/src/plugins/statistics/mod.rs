//! What each plugin process has done, and how it fared: counted where every call passes, read by whoever shows it.
//!
//! Counting takes no lock and no allocation. Owns the numbers and the account of how processes ended; not what is done about
//! either (`process/state.rs`, `warnings/`). Start with [`Statistics`].

mod calls;
mod ends;
mod histogram;
mod memory;
mod rate;
mod record;

pub(crate) use memory::proportional_memory;
pub(crate) use record::{Ending, MethodFigures, Statistics, code_word};
