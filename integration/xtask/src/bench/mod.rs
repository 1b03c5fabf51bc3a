//! `cargo xtask bench`: Hull beside the real LXD.

mod run;

pub(crate) use run::{Bench, run};
