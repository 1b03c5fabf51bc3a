//! About an instance or the server.

mod instance;
mod resources;
mod show;

pub(crate) use show::Info;
