//! `cargo xtask style`: the rules of the house that neither rustfmt nor clippy can check.
//!
//! Owns the rules ([`rules`]) and the walk over the sources ([`run`]). A rule is a pure function from one parsed file to
//! findings; it never changes a file.

mod rules;
mod run;
mod source;

pub(crate) use run::{Style, run};
