//! Building a root file system: mmdebstrap, run in a directory of its own, its tar stream compressed into the sink.
//!
//! Owns what goes into an image ([`recipe`], `customise.sh`), the child process ([`run`]) and how far it is
//! ([`progress`]). Invariant: every file it makes is below its own directory, which goes when the build ends.

mod progress;
mod recipe;
mod run;

pub(crate) use recipe::Recipe;
pub(crate) use run::{Build, given_up, run};
