//! The pool's directory: whose it is, what stands in it, how full it is.

mod clear;
mod create;
mod layout;
mod open;
mod sync;
mod usage;

pub(crate) use layout::{Made, Pool, ensure_directory, names, open_directory};
