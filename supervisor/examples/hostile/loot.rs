//! What there is to get, as the test that starts this program knows it.

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct Targets {
    /// Where hulld keeps its state.
    pub(crate) hull_dir: PathBuf,
    /// A file of another pool.
    pub(crate) other_pool: PathBuf,
    /// Somebody's file on the host.
    pub(crate) canary: PathBuf,
    /// hulld's own process, on the host.
    pub(crate) hulld: i32,
    /// A process of root's on the host that does nothing.
    pub(crate) victim: i32,
    /// A port on the host's 127.0.0.1 where somebody listens.
    pub(crate) port: u16,
    /// The name of an abstract socket on the host where somebody listens.
    pub(crate) abstract_socket: String,
    /// What the environment may contain.
    pub(crate) environment: Vec<String>,
    /// How many descriptors from 3 on are the program's.
    pub(crate) descriptors: i32,
}
